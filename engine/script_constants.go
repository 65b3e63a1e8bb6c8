package engine

// The random number of a step has two halves: the lower one goes into the epoch,
// the upper one into the jitter.
const (
	epochsPerMS = 1024 // an epoch is at least the time in ms times this
	jitterSteps = 1024
	rndLimit    = epochsPerMS * jitterSteps
)

// A window keeps its shape for at least so long, see [machine.mayChangeShape].
const (
	minShapeMS = 60_000
	maxShapeMS = 3_600_000 // of a count window that does not fill
)

// minProbeHintMS is the shortest retry hint of a half-open rejection, unless a lease
// ends sooner.
const minProbeHintMS = 100

// ScriptConstants returns the numbers that the machine shares with its Lua, by
// the names that they have there. Package scripts writes them into the scripts,
// so that each has one source.
func ScriptConstants() map[string]int64 {
	return map[string]int64{
		"SCHEMA":        schema,
		"MAX_INT":       maxInt,
		"MAX_NUMBER":    maxNumber,
		"MAX_EPOCH":     maxEpoch,
		"MAX_MS":        maxMS,
		"MAX_TTL_MS":    maxTTL,
		"MAX_GRANT":     maxGrant,
		"MAX_TALLY":     maxTally,
		"MAX_CLOCK":     maxClock,
		"MAX_CALLS":     MaxCalls,
		"MAX_PROBES":    MaxProbes,
		"MAX_REPORTERS": MaxReporters,
		"MAX_TRIPS":     MaxTrips,
		"MAX_THRESHOLD": MaxThreshold,
		"MAX_BATCH":     MaxBatch,
		"BUCKETS":       buckets,
		"CHUNK":         chunk,
		"LOG_SLOTS":     logSlots,
		"SCALE":         scale,
		"EPOCHS_PER_MS": epochsPerMS,
		"JITTER_STEPS":  jitterSteps,
		"RND_LIMIT":     rndLimit,
		"MIN_SHAPE_MS":  minShapeMS,
		"MAX_SHAPE_MS":  maxShapeMS,

		"MIN_PROBE_HINT_MS": minProbeHintMS,
	}
}
