package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// errNotDelivered is the error of a message that does not arrive.
var errNotDelivered = errors.New("the subscription works, but a published message does not arrive")

// checkPush publishes a message and waits for it.
func (e *exam) checkPush(ctx context.Context) {
	err := e.loopBack(ctx)
	switch {
	case err == nil:
	case isChannelDenied(err):
		e.add(Finding{"push", Note, "", "the user may not subscribe to the channels of the namespace", fmt.Sprintf("for storage.WithWatch and redbreaker watch: ACL SETUSER USER &%s:*", e.Namespace)})
	case isDenied(err):
		e.add(Finding{"push", Note, "", "the user may not subscribe or publish: " + err.Error(), "for storage.WithWatch and redbreaker watch: ACL SETUSER USER +subscribe +publish"})
	default:
		e.add(Finding{"push", Warning, "", err.Error(), "check for a proxy that passes no pub/sub; processes learn of transitions by reading, within 30 s"})
	}
}

// loopBack subscribes to a channel of the namespace, publishes on it and receives.
func (e *exam) loopBack(ctx context.Context) error {
	// Each of the three steps may take a timeout.
	bounded, cancel := context.WithTimeout(ctx, 3*e.Timeout)
	defer cancel()
	subscription := e.Client.Subscribe(bounded, e.Keys.PingChannel())
	defer subscription.Close()
	if _, err := subscription.ReceiveTimeout(bounded, e.Timeout); err != nil {
		return err
	}
	text := "doctor-" + rand.Text()
	if err := e.Client.Publish(bounded, e.Keys.PingChannel(), text).Err(); err != nil {
		return err
	}
	for deadline := time.Now().Add(e.Timeout); ; {
		message, err := subscription.ReceiveTimeout(bounded, max(time.Millisecond, time.Until(deadline)))
		if err != nil {
			return errNotDelivered
		}
		if m, ok := message.(*redis.Message); ok && m.Payload == text { // others may ping, too
			return nil
		}
	}
}
