// Package bench measures what calls cost, and what many cost that meet. Every
// figure stands beside its floors of the same run: compare ratios, never runs.
package bench
