package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"

	"github.com/spf13/cobra"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/storage"
)

// control is a command that overrules a breaker.
type control struct {
	use    string
	action redbreaker.Action
	short  string
	lasts  lasts
}

// lasts says whether a command takes a duration.
type lasts int

const (
	noTerm   lasts = iota
	mayTerm        // --for
	modeTerm       // --for or --until-released, one of them
)

var controls = []control{
	{"trip", redbreaker.ActionTrip, "Open the circuit now, for --for or the policy's open time", mayTerm},
	{"half-open", redbreaker.ActionHalfOpen, "Let probes through now", noTerm},
	{"reset", redbreaker.ActionReset, "Close the circuit and forget all tallies; a mode stays", noTerm},
	{"force-open", redbreaker.ActionForceOpen, "Reject every call, whatever happens", modeTerm},
	{"force-closed", redbreaker.ActionForceClosed, "Let every call through and count nothing", modeTerm},
	{"shadow", redbreaker.ActionShadow, "Let every call through, while the breaker goes on beneath", modeTerm},
	{"release", redbreaker.ActionRelease, "End a forced mode or shadow: closed, all forgotten", noTerm},
}

// order is what the flags of a control say.
type order struct {
	redbreaker.Command
	untilReleased bool
}

func newControl(c control) *cobra.Command {
	var at connection
	var form format
	o := order{Command: redbreaker.Command{Action: c.action}}
	cmd := &cobra.Command{
		Use:   c.use + " NAME",
		Short: c.short,
		Long: c.short + `.

It holds for the whole fleet, stands in the breaker's log, and makes a breaker
that is not there yet. It prints the breaker as it is afterwards.`,
		Args: oneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(cmd, c.lasts); err != nil {
				return err
			}
			return at.with(cmd.Context(), func(s *storage.Redis) error {
				snapshot, err := s.Control(cmd.Context(), args[0], o.Command)
				if err != nil {
					return err
				}
				return form.write(cmd.OutOrStdout(), snapshot)
			})
		},
	}
	o.flags(cmd, c.lasts)
	at.flags(cmd)
	form.flag(cmd)
	return cmd
}

func (o *order) flags(cmd *cobra.Command, t lasts) {
	f := cmd.Flags()
	f.StringVar(&o.Reason, "reason", "", "why, for the log (64 bytes are kept)")
	f.StringVar(&o.Actor, "by", operator(), "who, for the log (64 bytes are kept)")
	f.Int64Var(&o.IfEpoch, "if-epoch", 0, "only if the breaker is still of this epoch, as get shows it; -1: only if there is none")
	if t != noTerm {
		f.DurationVar(&o.For, "for", 0, "how long, such as 30s or 2h")
	}
	if t == modeTerm {
		f.BoolVar(&o.untilReleased, "until-released", false, "until somebody releases it")
	}
}

// check finds the faults that the storage cannot: a mode without end is not to
// come from a flag that was forgotten.
func (o *order) check(cmd *cobra.Command, t lasts) error {
	given := cmd.Flags().Changed("for")
	switch {
	case given && o.For <= 0:
		return fmt.Errorf("--for is %v, use above 0 to 8784h (366 days)", o.For)
	case t == modeTerm && given == o.untilReleased:
		return errors.New("say how long: either --for, such as --for 10m, or --until-released")
	}
	return o.Validate()
}

// operator is who runs the command.
func operator() string {
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

// oneName checks that a command got one name, and says so in its own words.
func oneName(cmd *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return fmt.Errorf("give the name of one breaker: %s", cmd.UseLine())
	}
	return nil
}
