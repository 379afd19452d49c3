package es10

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"dynamod/euicc"
	"dynamod/euicc/apdu"
)

// LoadBoundProfilePackage brings a Bound Profile Package to the card, segment by
// segment, until the card answers with a ProfileInstallationResult (SGP.22
// 5.7.6, ES10b). Never repeat it.
type LoadBoundProfilePackage struct {
	// Segments yields the package as BPP.Segments does. An error that it yields
	// ends the loading.
	Segments iter.Seq2[[]byte, error]
	// Sent, if not nil, is called after each segment that the card took, with
	// their number and bytes so far.
	Sent func(segments, bytes int)
}

// LoadError is a loading that ended without a ProfileInstallationResult.
type LoadError struct {
	// Sent counts the segments that the card has acknowledged. The next one may
	// have reached it in part or whole when Unknown is set.
	Sent int
	// Unknown says that the answer to a segment was lost.
	Unknown bool
	// Source says that the package itself ended in Err: nothing is wrong with
	// the card.
	Source bool
	Err    error
}

func (e *LoadError) Error() string {
	return fmt.Sprintf("after %d segments: %v", e.Sent, e.Err)
}

// Unwrap returns the cause: the iterator's error, a *apdu.StatusError,
// ErrNoResult or the transport's error.
func (e *LoadError) Unwrap() error { return e.Err }

// ErrNoResult means that the card took a whole package and gave no
// ProfileInstallationResult, or something else in its place.
var ErrNoResult = errors.New("card gave no installation result")

// Execute sends the segments. It stops at the first ProfileInstallationResult,
// whatever its outcome: a failed installation is not an error here. Every error
// is a *LoadError.
func (r LoadBoundProfilePackage) Execute(ctx context.Context, ch Channel) (*euicc.InstallResult, error) {
	sent, bytes := 0, 0
	for segment, err := range r.Segments {
		if err != nil {
			return nil, &LoadError{Sent: sent, Source: true, Err: err}
		}
		// A cancelled context must not leave a segment half sent.
		if err := ctx.Err(); err != nil {
			return nil, &LoadError{Sent: sent, Err: err}
		}
		resp, err := ch.StoreData(ctx, segment)
		if err != nil {
			return nil, &LoadError{Sent: sent, Unknown: apdu.Unknown(err), Err: err}
		}
		sent++
		bytes += len(segment)
		if len(resp) > 0 {
			result, err := euicc.ParseInstallResult(resp)
			if err != nil {
				return nil, &LoadError{Sent: sent, Unknown: true, Err: fmt.Errorf("%w: %w", ErrNoResult, err)}
			}
			if r.Sent != nil {
				r.Sent(sent, bytes)
			}
			return &result, nil
		}
		if r.Sent != nil {
			r.Sent(sent, bytes)
		}
	}
	return nil, &LoadError{Sent: sent, Unknown: true, Err: ErrNoResult}
}
