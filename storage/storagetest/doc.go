// Package storagetest is the conformance suite that every engine.Storage must
// pass, and the benchmark by which they are compared.
//
// To run it on a storage of your own, say how to open an empty data set with two
// clients, and what else can be done to it:
//
//	func open(t testing.TB) storagetest.Harness {
//		db := newDatabase(t) // empty, and gone at the test's end
//		return storagetest.Harness{
//			A:    mystore.New(db.Connect()),
//			B:    mystore.New(db.Connect()),
//			Lose: func(name string) { db.Delete(name) },
//		}
//	}
//
//	func TestConformance(t *testing.T)   { storagetest.Run(t, open) }
//	func BenchmarkStorage(b *testing.B) { storagetest.Bench(b, open) }
//
// The fields of [Harness] other than A and B are capabilities. A test that needs
// one that is missing is skipped, and says which.
//
// No test depends on how fast the storage is: what must still hold when a test
// looks has an hour's time, and what must have ended was given a few hundredths
// of a second, and waited for.
package storagetest
