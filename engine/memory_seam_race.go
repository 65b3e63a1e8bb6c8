//go:build race

package engine

// seam is set by tests, before the goroutines that meet it start.
var seam struct {
	pause   func() // gives way to other goroutines
	unsound bool   // leaves out the seal, which a test must then find out
}

func pause() {
	if seam.pause != nil {
		seam.pause()
	}
}

func closing() int64 {
	if seam.unsound {
		return 0
	}
	return sealed
}
