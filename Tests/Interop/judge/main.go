// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

// judge answers for each line of JSON on standard input, on standard output, what package typing says of it:
//
//	{"agent_id":"…","data_type":1000,"fields":{…}}  →  {"problems":[…]}
//	{"text":"0x1p4"}                                →  {"number":true}
//
// Bytes that are not UTF-8 cannot be in JSON; as "fields_hex" a line has names and values in hexadecimal digits.
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	"elkeid-interop/typing"
)

type question struct {
	Text      *string           `json:"text"`
	AgentID   string            `json:"agent_id"`
	DataType  int32             `json:"data_type"`
	Fields    map[string]string `json:"fields"`
	FieldsHex map[string]string `json:"fields_hex"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "interop-judge:", err)
		os.Exit(1)
	}
}

func run() error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	output := bufio.NewWriter(os.Stdout)
	answers := json.NewEncoder(output)
	for lines.Scan() {
		var q question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return err
		}
		var answer any
		if q.Text != nil {
			answer = map[string]bool{"number": typing.IsNumber(*q.Text)}
		} else {
			fields := q.Fields
			for name, value := range q.FieldsHex {
				key, keyErr := hex.DecodeString(name)
				text, err := hex.DecodeString(value)
				if err != nil || keyErr != nil {
					return fmt.Errorf("not hexadecimal: %q, %q", name, value)
				}
				if fields == nil {
					fields = make(map[string]string)
				}
				fields[string(key)] = string(text)
			}
			answer = map[string][]string{"problems": typing.Problems(q.AgentID, q.DataType, fields)}
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return output.Flush()
}
