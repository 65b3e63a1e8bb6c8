package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// days is a duration on the command line that may begin with days, as in 1d or 1d12h.
type days time.Duration

// maxDays keeps a number of days from overflowing a duration.
const maxDays = 100_000

func (d *days) String() string { return time.Duration(*d).String() }
func (d *days) Type() string   { return "duration" }

func (d *days) Set(text string) error {
	value, err := parseDays(text)
	if err != nil {
		return fmt.Errorf("use a number with a unit, such as 30s, 10m, 2h or 1d")
	}
	*d = days(value)
	return nil
}

func parseDays(text string) (time.Duration, error) {
	number, rest, found := strings.Cut(text, "d")
	if !found {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil || n > maxDays {
		return 0, strconv.ErrRange
	}
	whole := time.Duration(n) * 24 * time.Hour
	if rest == "" {
		return whole, nil
	}
	part, err := time.ParseDuration(rest)
	if err != nil || part < 0 || part >= 24*time.Hour {
		return 0, strconv.ErrRange
	}
	return whole + part, nil
}
