package main

import (
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/web"
)

// The environment variables of serve, which other users of this machine cannot read.
const (
	envPanelUser     = "REDBREAKER_PANEL_USER"
	envPanelPassword = "REDBREAKER_PANEL_PASSWORD"
)

const defaultListen = "127.0.0.1:8686"

func newServe() *cobra.Command {
	var at connection
	var site web.Config
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Serve the panel, its API and the metrics of all breakers over HTTP",
		GroupID: groupBreakers,
		Long: `Serve the panel of the namespace over HTTP until an interrupt: which circuits are open,
since when, why and who reported it, and the same commands as this command line.

  /             the panel; --prefix moves it
  /api/...      the JSON API of the panel, also below --prefix
  /metrics      the records of the namespace, for Prometheus
  /healthz      200 if the Redis answers, 503 if not; it asks for no password

By default only this machine reaches the panel. If --listen lets other machines reach it,
it needs a password, or --read-only, or --anonymous behind a proxy that asks for a login.
The user and the password are in $` + envPanelUser + ` and $` + envPanelPassword + `.
Browsers send them unencrypted over HTTP: put a proxy that speaks TLS in front of it.

Without a password, it answers only requests whose host is an IP address, localhost, the
host of --listen or a --host. Otherwise another site could point its own host name at this
machine and read the panel.`,
		Example: `  redbreaker serve -n shop
  redbreaker serve -n shop --listen :8686 --read-only
  REDBREAKER_PANEL_USER=ops REDBREAKER_PANEL_PASSWORD=... redbreaker serve --listen :8686 --prefix /breakers`,
		Args:              rejectArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			site.User, site.Password = os.Getenv(envPanelUser), os.Getenv(envPanelPassword)
			if err := site.Validate(); err != nil {
				return &usageError{err}
			}
			return at.run(cmd.Context(), func(s *session) error { return s.servePanel(cmd, site) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&site.Listen, "listen", defaultListen, "`address` to listen on")
	f.StringVar(&site.Prefix, "prefix", "", "`path` of the panel, such as /breakers")
	f.BoolVar(&site.ReadOnly, "read-only", false, "refuse every command")
	f.BoolVar(&site.Anonymous, "anonymous", false, "let other machines give commands without a password")
	f.StringSliceVar(&site.Hosts, "host", nil, "`name` by which browsers reach the panel")
	at.addFlags(cmd)
	return cmd
}

// servePanel serves the panel of the namespace until the command's context ends.
func (s *session) servePanel(cmd *cobra.Command, c web.Config) error {
	c.Store, c.Title = s.store, titleOf(s.namespace)
	site, err := web.New(c)
	if err != nil {
		return &usageError{err}
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", c.Listen, err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "panel of namespace %s in %s: http://%s%s/\n", s.namespace, s.where(), l.Addr(), c.Prefix)
	return site.Serve(cmd.Context(), l)
}

// titleOf returns the namespace as a title, which has at most 80 bytes.
func titleOf(namespace string) string {
	return strings.ToValidUTF8(namespace[:min(len(namespace), 80)], "")
}
