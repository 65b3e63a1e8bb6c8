package language

// exception is a finding that is right as it is.
type exception struct {
	folder, subject string // "*" is any
	reason          string
}

var exceptions = []exception{
	{"engine", "twin", "each type with durations has a twin that writes them as text; the ten do the same"},
	{"internal/language", "*", "the rules name the words that they look for"},
	{"engine", "publishLocked", "publishAndUnlock ends what lockAndFold began"},
	{".", "settleLocked", "settleAndUnlock ends what lockAndFold began"},
}
