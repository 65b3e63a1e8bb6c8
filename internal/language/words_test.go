package language

import (
	"regexp"
	"strings"
	"testing"
)

// rule is a word or phrase that no comment, string or document uses.
type rule struct {
	pattern string // a regular expression; a space matches any white space
	allowed string // what a match may be part of; "" for nothing
	reason  string
}

// wordRules holds what a program can decide. Whether "holds" means "applies", and
// whether "who" is a person, it cannot.
var wordRules = []rule{
	{`told|tells`, ``, "a program reports, returns, logs or names; nothing is told"},
	{`(is|are|was|were) what`, ``, "a riddle: begin with the identifier and a verb"},
	{`what is`, ``, "a riddle: name the thing"},
	{`stands`, `stands for`, "a thing is, lies or is written somewhere"},
	{`(whoever|whomever|nobody)`, ``, "name the caller, process or operator"},
	{`(call|caller|process|processe|server|client|goroutine|breaker|storage|store|operation|step|node|host|replica|handle)s?,? (who|whom)`, ``, "a call, a process or a server is it: use that or which"},
	{`(he|him|his|she|her)`, ``, "a caller is it, an operator they"},
	{`under way`, ``, "in flight, running, pending"},
	{`anew`, ``, "again, or name what is created"},
	{`beneath`, ``, "name what lies below: the state, the record"},
	{`(heed|heeds|heeded|heeding)`, ``, "honors, uses, reads"},
	{`(dear|dearer|dearest)`, ``, "expensive, costly, important"},
	{`in vain`, ``, "without a result; say what failed"},
	{`for ever`, ``, "forever, never ends, without end"},
	{`all the same`, ``, "nevertheless, or the condition itself"},
	{`(goes|go|went|going) by`, ``, "uses, follows, is decided by"},
	{`(has|have|had) (its|their|his|the) say`, ``, "decides"},
	{`(hear|hears|heard|hearing) of`, ``, "learns of, receives, is called for"},
	{`(left|leave|leaves|leaving) alone`, ``, "is not called, is skipped, is unchanged"},
	{`last said`, ``, "last error"},
	{`(obey|obeys|obeyed) (a|the|its) Retry-After`, ``, "honors a Retry-After"},
	{`others? (always )?(was|were) faster`, ``, "lost the compare-and-swap race"},
}

// matcher is a rule ready to use.
type matcher struct {
	rule
	find, allow *regexp.Regexp
}

func compileRules(rules []rule) []matcher {
	var all []matcher
	for _, r := range rules {
		m := matcher{rule: r, find: compilePhrase(r.pattern)}
		if r.allowed != "" {
			m.allow = compilePhrase(r.allowed)
		}
		all = append(all, m)
	}
	return all
}

func compilePhrase(phrase string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(?:` + strings.ReplaceAll(phrase, " ", `\s+`) + `)\b`)
}

// findWords returns what the rules find in a passage.
func findWords(rules []matcher, p passage) []finding {
	var found []finding
	for _, m := range rules {
		for _, at := range m.find.FindAllStringIndex(p.text, -1) {
			if m.isAllowed(p.text, at) {
				continue
			}
			line := p.line + strings.Count(p.text[:at[0]], "\n")
			match := strings.Join(strings.Fields(p.text[at[0]:at[1]]), " ")
			found = append(found, finding{file: p.file, line: line, subject: match, message: `"` + match + `": ` + m.reason})
		}
	}
	return found
}

func (m matcher) isAllowed(text string, at []int) bool {
	if m.allow == nil {
		return false
	}
	for _, whole := range m.allow.FindAllStringIndex(text, -1) {
		if whole[0] <= at[0] && at[1] <= whole[1] {
			return true
		}
	}
	return false
}

// TestWords_find makes sure that each rule finds what it is for.
func TestWords_find(t *testing.T) {
	rules := compileRules(wordRules)
	for text, want := range map[string]int{
		"the caller is told so":                     1,
		"that is\nwhat a batch shares":              1,
		"a tally stands for the window":             0,
		"the tally stands in its field":             1,
		"callers who left":                          1,
		"an operator who reads the log":             0,
		"the server, which answers":                 0,
		"Nothing under\nway goes by the storage":    2,
		"the retold tale of a shell":                0,
		"it honors a Retry-After and needs a stand": 0,
	} {
		if got := findWords(rules, passage{text: text}); len(got) != want {
			t.Errorf("%q: found %v, want %d", text, got, want)
		}
	}
	if got := findWords(rules, passage{text: "one\ntwo\nfor\never", line: 7}); len(got) != 1 || got[0].line != 9 {
		t.Errorf("found %v, want line 9", got)
	}
}
