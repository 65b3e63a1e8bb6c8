package storage_test

const envRole = "REDBREAKER_STORAGE_TEST_ROLE"

func beChild(string) int { return 0 }
