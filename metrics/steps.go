package metrics

import (
	"errors"

	"github.com/redbreaker/redbreaker/engine"
)

// errorClasses are the values of [AttrErrorType] for steps, by the class of the error.
var errorClasses = [...]string{
	engine.ClassNotExecuted: "not_executed",
	engine.ClassUnknown:     "unknown",
	engine.ClassRefused:     "refused",
	engine.ClassForeign:     "foreign",
}

// ErrorClass returns the value of [AttrErrorType] for the error of a step:
// not_executed, unknown, refused, foreign, or _OTHER for an error without a class. It is
// empty if there is no error.
func ErrorClass(err error) string {
	if err == nil {
		return ""
	}
	var e *engine.StorageError
	if errors.As(err, &e) && e.Class > 0 && int(e.Class) < len(errorClasses) {
		return errorClasses[e.Class]
	}
	return otherType
}
