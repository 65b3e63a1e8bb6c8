package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/httpbreaker"
)

// Candidate is a model at a provider.
type Candidate struct {
	URL, Model string
}

// Gateway sends a prompt to the first candidate that answers. Each candidate has a
// circuit of its own: a provider limits and loses its models one by one.
type Gateway struct {
	candidates []Candidate
	client     *http.Client
}

// NewGateway returns a gateway over candidates in their order of preference. The
// breakers are named by host and model; a registry with a storage shares what one
// replica of the gateway learns with all others.
func NewGateway(candidates []Candidate, breakers *redbreaker.Registry) (*Gateway, error) {
	transport, err := httpbreaker.NewTransport(httpbreaker.Keyed(breakers, circuitOf), nil, httpbreaker.TransportConfig{
		Judge: judgeStatus,
		// A stream may fail after its 200.
		BodyJudge:     httpbreaker.EventStream(judgeEvent), //nolint:bodyclose // a function of responses, not a response
		VendorHeaders: true,
	})
	if err != nil {
		return nil, err
	}
	return &Gateway{candidates, &http.Client{Transport: transport}}, nil
}

// modelKey is the key of the model in a request's context: the transport sees the
// request, but the model is in its body.
type modelKey struct{}

func circuitOf(r *http.Request) string {
	model, _ := r.Context().Value(modelKey{}).(string)
	return httpbreaker.ByHost(r) + "/" + model
}

// judgeStatus returns the failure of a response. A 429 that says how long to wait opens
// the circuit at once and for that time: the provider's word needs no further failures.
// The transport reads the time, up to the policy's Backoff.Max.
func judgeStatus(r *http.Response) error {
	err := httpbreaker.JudgeStatus(r)
	if r.StatusCode == http.StatusTooManyRequests && httpbreaker.RetryAfter(r.Header, time.Now()) > 0 {
		return redbreaker.TripError(err, 0)
	}
	return err
}

// judgeEvent returns the failure that an event of a stream reports.
func judgeEvent(event string, data []byte) error {
	if event != "error" {
		return nil
	}
	return fmt.Errorf("the stream reports an error: %.200s", data)
}

// Answer is a stream from the candidate that answered. The caller reads it to its end,
// which decides the call, and closes it.
type Answer struct {
	Candidate
	io.ReadCloser
}

// errRequest is the error of a request that no candidate would accept.
var errRequest = errors.New("the request is not accepted")

// Complete sends the prompt to one candidate after the other. A candidate whose circuit
// is open costs no time. The error names why each of them failed.
func (g *Gateway) Complete(ctx context.Context, prompt string) (*Answer, error) {
	var failures []error
	for _, c := range g.candidates {
		body, err := g.ask(ctx, c, prompt)
		if err == nil {
			return &Answer{c, body}, nil
		}
		failures = append(failures, fmt.Errorf("%s: %w", c.Model, err))
		if errors.Is(err, errRequest) || ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(failures...)
}

// ask sends the prompt to one candidate.
func (g *Gateway) ask(ctx context.Context, c Candidate, prompt string) (io.ReadCloser, error) {
	text, err := json.Marshal(map[string]any{"model": c.Model, "prompt": prompt, "stream": true})
	if err != nil {
		return nil, err
	}
	ctx = context.WithValue(ctx, modelKey{}, c.Model)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	response, err := g.client.Do(request)
	if err != nil {
		return nil, err // a rejection too
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusTooManyRequests || response.StatusCode >= http.StatusInternalServerError {
		return nil, errors.New(response.Status)
	}
	return nil, fmt.Errorf("%w: %s", errRequest, response.Status)
}
