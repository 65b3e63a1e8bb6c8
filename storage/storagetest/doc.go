// Package storagetest is the conformance suite that every [engine.Storage] must
// pass, with a benchmark that compares storages.
//
// To test a storage of your own, write a function that opens an empty data set with
// two clients, and call [Run]:
//
//	func open(t testing.TB) storagetest.Harness {
//		db := newDatabase(t) // empty; t.Cleanup removes it
//		return storagetest.Harness{
//			A:    mystore.New(db.Connect(), mystore.WithTimeout(10*time.Second)),
//			B:    mystore.New(db.Connect(), mystore.WithTimeout(10*time.Second)),
//			Lose: func(name string) { db.Delete(name) },
//		}
//	}
//
//	func TestConformance(t *testing.T)   { storagetest.Run(t, open) }
//	func BenchmarkStorage(b *testing.B) { storagetest.Bench(b, open) }
//
// The fields of [Harness] other than A and B are capabilities. A test that needs a
// missing one is skipped with a message that names it.
//
// No test depends on the speed of the storage: a period that must not end during a
// test lasts an hour, and one that must end lasts some hundredths of a second, for
// which the test waits. But an operation that exceeds the storage's own timeout
// fails its test. Give the clients one that no pause of a loaded machine reaches,
// such as the 10 s of this project's own suites.
package storagetest
