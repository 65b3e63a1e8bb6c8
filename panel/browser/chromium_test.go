package browser

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/redbreaker/redbreaker/panel"
)

// envRequire makes the absence of Chromium an error.
const envRequire = "REDBREAKER_REQUIRE_CHROMIUM"

// findChromium returns the path of the browser, or skips the test.
func findChromium(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv(envRequire) != "" {
		t.Fatal("there is no chromium on PATH, and " + envRequire + " is set")
	}
	t.Skip("skipped: there is no chromium on PATH")
	return ""
}

// shared is the browser of all tests, which ends with the binary.
var shared struct {
	once   sync.Once
	ctx    context.Context
	cancel context.CancelFunc
	err    error
}

// startChromium starts the browser.
func startChromium(path string) (context.Context, context.CancelFunc, error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, // tests run as root in a container
		chromedp.DisableGPU, chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.WSURLReadTimeout(2*time.Minute), // a busy machine
	)
	allocated, release := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocated)
	return ctx, func() { cancel(); release() }, chromedp.Do(ctx)
}

// tab is a page of the browser, and what it did: requests, console errors.
type tab struct {
	t   testing.TB
	ctx context.Context
	url string // of the panel

	server *httptest.Server

	mu       sync.Mutex
	requests []string
	problems []string
}

// openPanel serves the panel of a fleet and opens a tab. The test's end checks that
// every request stayed at the origin, and that the console has no error.
func openPanel(t testing.TB, f *fleet, o panel.Options) *tab {
	t.Helper()
	path := findChromium(t)
	shared.once.Do(func() { shared.ctx, shared.cancel, shared.err = startChromium(path) })
	if shared.err != nil {
		t.Fatalf("start %s: %v", path, shared.err)
	}
	p, err := panel.New(f.store, o)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(p)
	t.Cleanup(func() {
		p.Close()
		server.Close()
	})
	ctx, cancel := chromedp.NewContext(shared.ctx)
	if err := chromedp.Do(ctx); err != nil { // the tab lives as long as this context
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(ctx, 5*time.Minute)
	b := &tab{t: t, ctx: ctx, url: server.URL + o.Prefix, server: server}
	t.Cleanup(func() {
		stop()
		cancel()
		b.checkProblems(server.URL)
	})
	if err := chromedp.Listen(ctx, b.noteEvent); err != nil {
		t.Fatal(err)
	}
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, cdp.Empty{})
	call(b, runtime.Enable, cdp.Empty{})
	return b
}

// noteEvent notes what a page must not do.
func (b *tab) noteEvent(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *log.EventEntryAdded:
		b.problems = append(b.problems, fmt.Sprintf("%s: %s (%s)", e.Entry.Level, e.Entry.Text, e.Entry.URL))
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, "exception: "+e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" {
			b.problems = append(b.problems, fmt.Sprintf("console: %+v", e.Args[0]))
		}
	case *page.EventJavascriptDialogOpening:
		b.problems = append(b.problems, "a dialog opened: "+e.Message)
	}
}

// press presses a key as a keyboard does: a page that handles the key keeps its
// character from being typed, which chromedp.KeyEvent types by itself.
func (b *tab) press(key string) {
	b.t.Helper()
	call(b, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: "keyDown", Key: key, Text: key, UnmodifiedText: key})
	call(b, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: "keyUp", Key: key})
}

// closeConnections breaks all connections of the browser, as a proxy that restarts does.
func (b *tab) closeConnections() { b.server.CloseClientConnections() }

func (b *tab) checkProblems(origin string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, url := range b.requests {
		if !strings.HasPrefix(url, origin+"/") {
			b.t.Errorf("a request left the origin: %s", url)
		}
	}
	if len(b.requests) == 0 {
		b.t.Error("no request was noted")
	}
	for _, problem := range b.problems {
		b.t.Error(problem)
	}
}

// takeProblems returns what the page must not have done, and forgets it.
func (b *tab) takeProblems() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.problems
	b.problems = nil
	return all
}

// call runs a command of the browser's protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, command, params); err != nil {
		b.t.Fatalf("%s: %v", command.Method, err)
	}
}

func (b *tab) run(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// use does something with an element. A live page may replace the element between the
// look for it and the action, which then fails without an effect: both are done again.
func (b *tab) use(action chromedp.Action[chromedp.Void], selector string) {
	b.t.Helper()
	waitUntil(b.t, "the use of "+selector, func() bool {
		err := chromedp.Do(b.ctx, action)
		if isReplaced(err) {
			return false
		}
		if err != nil {
			b.t.Fatalf("use %s: %v", selector, err)
		}
		return true
	})
}

// isReplaced reports whether the browser no longer knows the element.
func isReplaced(err error) bool {
	var e *cdproto.Error
	return errors.As(err, &e) && e.Code == -32000
}

// click clicks an element.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.use(chromedp.Click(selector), selector)
}

// open loads a page of the panel.
func (b *tab) open(path string) {
	b.t.Helper()
	b.run("open "+path, chromedp.Navigate(b.url+path), chromedp.WaitReady("main"))
}

// eval evaluates an expression on the page.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("evaluate %s: %v", expression, err)
	}
	return v
}

// waitFor waits until an expression is true on the page.
func (b *tab) waitFor(expression string) {
	b.t.Helper()
	waitUntil(b.t, expression, func() bool {
		// While a page is replaced by another, it cannot evaluate.
		isTrue, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](expression))
		if errors.Is(err, context.DeadlineExceeded) {
			b.t.Fatalf("wait for %s: %v", expression, err)
		}
		return isTrue
	})
}

// show sets the size of the screen and the color scheme.
func (b *tab) show(width, height int64, scheme string) {
	b.t.Helper()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 500})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

// picture returns a screenshot.
func (b *tab) picture() []byte {
	b.t.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	return png
}
