//go:build race

package engine

// yield is set by tests before they start the goroutines that reach yield points.
var yield struct {
	goroutine func() // lets other goroutines run
	noSeal    bool   // leaves stripes unsealed: a fault that a test must detect
}

func yieldPoint() {
	if yield.goroutine != nil {
		yield.goroutine()
	}
}

func sealValue() int64 {
	if yield.noSeal {
		return 0
	}
	return sealed
}
