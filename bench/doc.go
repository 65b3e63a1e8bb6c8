// Package bench measures the cost of calls, alone and under contention. Every figure
// is reported with the floors of the same run: compare ratios, not runs.
package bench
