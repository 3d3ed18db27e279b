// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"elkeid/plugin"
)

// arguments are those of a command, taken one by one. The first that is wrong sets err.
type arguments struct {
	rest []string
	err  error
}

func newArguments(words []string) *arguments { return &arguments{rest: words[1:]} }

func (a *arguments) next() string {
	if len(a.rest) == 0 {
		if a.err == nil {
			a.err = fmt.Errorf("an argument is missing")
		}
		return ""
	}
	word := a.rest[0]
	a.rest = a.rest[1:]
	return word
}

func (a *arguments) number() int {
	word := a.next()
	number, err := strconv.ParseInt(word, 10, 64)
	if err != nil && a.err == nil {
		a.err = fmt.Errorf("%q is not a number", word)
	}
	return int(number)
}

func (a *arguments) bytes() []byte {
	word := a.next()
	if word == "-" {
		return nil
	}
	content, err := hex.DecodeString(word)
	if err != nil && a.err == nil {
		a.err = fmt.Errorf("%.100q is not hexadecimal", word)
	}
	return content
}

func (a *arguments) priority() plugin.Priority {
	if len(a.rest) == 0 {
		return plugin.Normal
	}
	if word := a.next(); word != "high" && a.err == nil {
		a.err = fmt.Errorf("%q is not a priority", word)
	}
	return plugin.High
}
