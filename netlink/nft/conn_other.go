//go:build !linux

package nft

import "context"

// Kernel has no nf_tables here.
type Kernel struct{ NetNS int }

// Raise fails with ErrUnsupported.
func (Kernel) Raise(context.Context, Wall, []Host) error { return ErrUnsupported }

// Fill fails with ErrUnsupported.
func (Kernel) Fill(context.Context, Wall, []Host) error { return ErrUnsupported }

// Fall fails with ErrUnsupported.
func (Kernel) Fall(context.Context, string) error { return ErrUnsupported }
