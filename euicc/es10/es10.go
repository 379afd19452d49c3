package es10

import (
	"context"
	"encoding"
	"errors"
	"fmt"

	"dynamod/euicc/bertlv"
)

// Channel sends a command to the ISD-R and returns its response, both as data
// objects. *apdu.Channel is one.
type Channel interface {
	StoreData(ctx context.Context, data []byte) ([]byte, error)
}

var (
	// ErrNotFound: there is no such profile or notification.
	ErrNotFound = errors.New("not on the card")
	// ErrWrongState: the profile is in the wrong state for the operation: it
	// is enabled already, or it has to be disabled first.
	ErrWrongState = errors.New("profile is in the wrong state")
	// ErrPolicy: a profile policy rule forbids the operation.
	ErrPolicy = errors.New("disallowed by a profile policy rule")
	// ErrCATBusy: a proactive session of the card toolkit is under way; try
	// again after a while, or without refresh.
	ErrCATBusy = errors.New("card toolkit is busy")
)

// ResultError is an error that the response of a function carries.
type ResultError struct {
	Function string // the specification's name of the function
	Code     int    // the specification's number
	Name     string // the specification's name, "" if the number is unknown
	is       error
}

func (e *ResultError) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("%s: card answered error %d", e.Function, e.Code)
	}
	return fmt.Sprintf("%s: card answered %s (%d)", e.Function, e.Name, e.Code)
}

// Unwrap returns the sentinel, if the code has one.
func (e *ResultError) Unwrap() error { return e.is }

// NotFound returns the error of a function that did not find what it was asked
// for, for callers that search an answer themselves.
func NotFound(function string) *ResultError {
	return &ResultError{Function: function, Code: 1, Name: "noResultAvailable", is: ErrNotFound}
}

// result is a row of a function's table of results.
type result struct {
	name string
	is   error
}

// check turns a function's result code into an error; 0 is none.
func check(function string, code int64, table map[int64]result) error {
	if code == 0 {
		return nil
	}
	return resultError(function, code, table)
}

func resultError(function string, code int64, table map[int64]result) error {
	r, known := table[code]
	if !known && code == 127 {
		r.name = "undefinedError"
	}
	return &ResultError{Function: function, Code: int(code), Name: r.name, is: r.is}
}

// execute sends req and decodes the response.
func execute[R any, P interface {
	*R
	encoding.BinaryUnmarshaler
}](ctx context.Context, ch Channel, req []byte) (P, error) {
	b, err := ch.StoreData(ctx, req)
	if err != nil {
		return nil, err
	}
	r := P(new(R))
	if err := r.UnmarshalBinary(b); err != nil {
		return nil, err
	}
	return r, nil
}

// expect decodes the outer data object of a response.
func expect(function string, b []byte, tag bertlv.Tag) (bertlv.Element, error) {
	e, err := bertlv.Expect(b, tag)
	if err != nil {
		return bertlv.Element{}, fmt.Errorf("%s: response: %w", function, err)
	}
	return e, nil
}

// field returns the value of a data object that a response must have.
func field(function string, e bertlv.Element, tag bertlv.Tag) ([]byte, error) {
	c, ok := e.Find(tag)
	if !ok {
		return nil, fmt.Errorf("%s: response has no data object %s", function, tag)
	}
	return c.Value, nil
}

// code returns the INTEGER of a data object that a response must have.
func code(function string, e bertlv.Element, tag bertlv.Tag) (int64, error) {
	v, err := field(function, e, tag)
	if err != nil {
		return 0, err
	}
	n, err := bertlv.Int(v)
	if err != nil {
		return 0, fmt.Errorf("%s: result: %w", function, err)
	}
	return n, nil
}
