package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
	"github.com/redbreaker/redbreaker/engine"
)

// control is a command that overrules a breaker.
type control struct {
	use    string
	action redbreaker.Action
	short  string
	term   termRule
}

// termRule says whether a command takes a duration.
type termRule int

const (
	noTerm   termRule = iota
	mayTerm           // --for
	modeTerm          // --for or --until-released, one of them
)

var controls = []control{
	{"trip", redbreaker.ActionTrip, "Open the circuit now, for --for or the policy's open time", mayTerm},
	{"half-open", redbreaker.ActionHalfOpen, "Admit probes now", noTerm},
	{"reset", redbreaker.ActionReset, "Close the circuit and clear all tallies; a mode remains", noTerm},
	{"force-open", redbreaker.ActionForceOpen, "Reject all calls until the mode ends", modeTerm},
	{"force-closed", redbreaker.ActionForceClosed, "Admit all calls and count none until the mode ends", modeTerm},
	{"shadow", redbreaker.ActionShadow, "Admit all calls and go on counting until the mode ends", modeTerm},
	{"release", redbreaker.ActionRelease, "End a mode: the circuit is closed and its tallies are cleared", noTerm},
}

// order is a command with the flags that control its execution.
type order struct {
	redbreaker.Command
	use           string
	term          termRule
	untilReleased bool
	create        bool
	sure          confirmation
}

func newControl(c control) *cobra.Command {
	var at connection
	var form format
	o := order{Command: redbreaker.Command{Action: c.action}, use: c.use, term: c.term}
	cmd := &cobra.Command{
		Use:     c.use + " NAME",
		Short:   c.short,
		GroupID: groupBreakers,
		Long: c.short + `.

The command applies to the whole fleet and is recorded in the breaker's log. It
prints what it changed, and the breaker afterwards. If the standard input is a terminal,
it shows the breaker's state and asks first, unless --yes is given. A breaker that does
not exist is an error, since its name or namespace may be wrong; --create makes it.`,
		Args:              nameOfBreaker,
		ValidArgsFunction: at.completeNames(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(cmd); err != nil {
				return &usageError{err}
			}
			return at.run(cmd.Context(), func(s *session) error {
				before, after, err := o.execute(cmd, s, args[0])
				if err != nil {
					return err
				}
				return form.writeChange(cmd.OutOrStdout(), s, &o, before, after)
			})
		},
	}
	o.addOrderFlags(cmd)
	at.addFlags(cmd)
	form.addOutputFlag(cmd)
	return cmd
}

func (o *order) addOrderFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.Reason, "reason", "", "why, for the log (64 bytes are kept)")
	f.StringVar(&o.Actor, "by", "", "who, for the log (64 bytes are kept; default USER@HOST)")
	o.sure.addFlag(cmd)
	f.BoolVar(&o.create, "create", false, "make the breaker if it does not exist")
	f.Int64Var(&o.IfEpoch, "if-epoch", 0, "only if the breaker has this epoch, as get shows it; -1: only if it does not exist, and make it")
	if o.term != noTerm {
		f.VarPF((*days)(&o.For), "for", "", "how long, such as 30s, 2h or 1d").DefValue = "" // 0s is no choice, so help does not show it
	}
	if o.term == modeTerm {
		f.BoolVar(&o.untilReleased, "until-released", false, "without an end")
	}
}

// check checks the flags and fills in the actor. A mode without an end must not result
// from a flag that was forgotten.
func (o *order) check(cmd *cobra.Command) error {
	if !cmd.Flags().Changed("by") {
		o.Actor = defaultActor()
	}
	given := cmd.Flags().Changed("for")
	switch {
	case given && (o.For <= 0 || o.For > engine.MaxDuration):
		return fmt.Errorf("--for is %v, use a duration above 0, at most 366d", o.For)
	case o.term == modeTerm && given == o.untilReleased:
		return errors.New("give the duration: either --for, such as --for 10m, or --until-released")
	case o.IfEpoch < -1:
		return fmt.Errorf("--if-epoch is %d, use the epoch that get shows, or -1", o.IfEpoch)
	}
	return o.Validate()
}

// maxAttempts is how often execute tries a breaker that changes all the time.
const maxAttempts = 10

// execute carries out the order and returns the breaker before and after it. It makes
// no breaker unless the flags say so: the command names the epoch that it read, and is
// repeated if another process was faster.
func (o *order) execute(cmd *cobra.Command, s *session, name string) (before, after redbreaker.Snapshot, err error) {
	ctx, confirmed := cmd.Context(), false
	for range maxAttempts {
		found, err := s.inspect(ctx, []string{name})
		if err != nil {
			return before, after, err
		}
		before = found[0]
		c := o.Command
		switch {
		case !before.Exists && !o.create && o.IfEpoch != -1:
			return before, after, newAbsentError(ctx, name, s)
		case before.Exists && o.IfEpoch == 0:
			c.IfEpoch = before.Epoch
		}
		if !confirmed {
			if err := o.sure.ask(cmd, o.describeIntent(s, &before)); err != nil {
				return before, after, err
			}
			confirmed = true
		}
		after, err = s.store.Control(ctx, name, c)
		if c.IfEpoch == o.IfEpoch || !errors.Is(err, redbreaker.ErrConflict) {
			return before, after, err
		}
	}
	return before, after, fmt.Errorf("the breaker %s changes too often, try again: %w", plaintext.Quote(name), redbreaker.ErrConflict)
}

// describeIntent returns the question before the order is carried out.
func (o *order) describeIntent(s *session, before *redbreaker.Snapshot) string {
	state := "it does not exist"
	if before.Exists {
		state = fmt.Sprintf("it is %s, mode %s", describeState(before), before.Mode)
	}
	length := ""
	if o.For > 0 {
		length = fmt.Sprintf(" for %v", o.For)
	}
	return fmt.Sprintf("%s %s in namespace %s of %s%s (%s)", o.use, plaintext.Quote(before.Name), plaintext.Quote(s.namespace), s.where(), length, state)
}

// describeChange returns what the order did: the transitions, or why there is none.
func (o *order) describeChange(before, after *redbreaker.Snapshot) string {
	var steps []string
	for i := range after.Log {
		t := &after.Log[i]
		known := func(b redbreaker.Transition) bool { return b.Epoch == t.Epoch }
		if slices.ContainsFunc(before.Log, known) {
			continue
		}
		step := formatState(t.From, t.FromMode) + " > " + formatState(t.To, t.ToMode)
		if t.Cause != redbreaker.CauseOperator {
			step += " (" + plaintext.QuoteUnprintable(string(t.Cause)) + ")"
		}
		steps = append(steps, step)
	}
	done := o.use + ": "
	switch {
	case len(steps) > 0 && after.State == redbreaker.StateOpen && o.Action == redbreaker.ActionTrip:
		return done + strings.Join(steps, ", ") + fmt.Sprintf(" for %v", after.OpenFor)
	case len(steps) > 0:
		return done + strings.Join(steps, ", ")
	case o.Action == redbreaker.ActionRelease:
		return done + "nothing changed, the breaker has no mode to end"
	}
	return done + "nothing changed"
}

// defaultActor returns the user and the host of the command.
func defaultActor() string {
	name := os.Getenv("USER")
	if u, err := user.Current(); name == "" && err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}

// nameOfBreaker is the Args of a command on one breaker.
func nameOfBreaker(cmd *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return &usageError{fmt.Errorf("give the name of one breaker: %s", cmd.UseLine())}
	}
	return nil
}
