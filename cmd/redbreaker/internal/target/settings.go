package target

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// Settings are the parts of a target that a URL does not hold, or not well. The zero
// value leaves a URL as it is.
type Settings struct {
	TLS            bool   // as the scheme rediss
	CACert         string // file of authorities that sign the server's certificate; implies TLS
	Cert, Key      string // files of the client's certificate; imply TLS
	User, Password string
}

// tlsConfig returns the TLS configuration, based on that of the URL; nil for none.
func (s Settings) tlsConfig(config *tls.Config) (*tls.Config, error) {
	if config == nil && !s.TLS && s.CACert == "" && s.Cert == "" && s.Key == "" {
		return nil, nil
	}
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if s.CACert != "" {
		text, err := os.ReadFile(s.CACert)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--cacert: %s contains no certificate in PEM form", s.CACert)
		}
	}
	if (s.Cert == "") != (s.Key == "") {
		return nil, errors.New("--cert and --key: use both or none")
	}
	if s.Cert != "" {
		pair, err := tls.LoadX509KeyPair(s.Cert, s.Key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
