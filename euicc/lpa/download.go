package lpa

import (
	"context"
	"errors"
	"io"

	"dynamod/euicc"
	"dynamod/euicc/apdu"
	"dynamod/euicc/es10"
	"dynamod/euicc/es9p"
)

// Progress is how far a Download has come.
type Progress struct {
	Stage euicc.Stage
	// Of StageLoadBPP: how many segments and bytes of the package the card has
	// taken. It is reported once with zeros before the first segment.
	// TotalSegments is 0 until the last segment has arrived.
	Segments, TotalSegments int
	Bytes, TotalBytes       int
}

// errEnded is a call of Download or Cancel after the session has ended.
var errEnded = errors.New("the session has ended")

// Download fetches the profile and brings it to the card (SGP.22 3.1.3). The
// confirmation code is used only when the server asks for one. progress may be
// nil; it is called from this goroutine. Segments go to the card while the rest of
// the package is still arriving, unless Config.Sequential is set; the goroutine
// that takes it in has ended when Download returns.
//
// The result is not nil exactly when the card has given one, even if it says
// that the installation failed; then the error has it in words, and the result
// has to be delivered as any notification. Without a result the session has been
// cancelled with the reason that fits, unless the error's Unknown is set: the
// card did not answer any more, and FindResult and CancelSession are due when it
// does again.
//
// That a confirmation code is missing is found before anything is done; Download
// may then be called again.
func (o *Order) Download(ctx context.Context, cc euicc.ConfirmationCode, progress func(Progress)) (*euicc.InstallResult, error) {
	if o.ended {
		return nil, diagnose(ctx, euicc.StagePrepareDownload, errEnded)
	}
	if progress == nil {
		progress = func(Progress) {}
	}
	prepare := es10.PrepareDownload{SMDPSigned2: o.signed2.SMDPSigned2, SMDPSignature2: o.signed2.SMDPSignature2, SMDPCertificate: o.signed2.SMDPCertificate}
	if o.ConfirmationRequired {
		if cc == "" {
			e := &euicc.Error{Stage: euicc.StagePrepareDownload, Code: "confirmation-code-missing"}
			euicc.DiagnoseStatus("8.2.7", "2.2").Apply(e)
			return nil, e
		}
		prepare.HashCC = es10.HashConfirmationCode(cc, o.TransactionID)
	}
	o.ended = true

	progress(Progress{Stage: euicc.StagePrepareDownload})
	signed, err := prepare.Execute(ctx, o.card.ch)
	if err != nil {
		e := diagnose(ctx, euicc.StagePrepareDownload, err)
		reason := euicc.CancelPostponed
		if _, is := errors.AsType[*es10.ResultError](err); is {
			reason = euicc.CancelUndefined
		}
		o.abort(ctx, reason, true)
		return nil, e
	}

	progress(Progress{Stage: euicc.StageGetBPP})
	var answer *es9p.Package
	fail := func(stage euicc.Stage, err error) (*euicc.InstallResult, error) {
		e := diagnose(ctx, stage, err, o.matching.Reveal(), cc.Reveal())
		if answer != nil {
			answer.Close()
		}
		o.abort(ctx, packageReason(err), !refused(err))
		return nil, e
	}
	answer, err = es9p.GetBoundProfilePackage{TransactionID: o.TransactionID, Response: signed.Raw}.Execute(ctx, o.client, o.Server)
	if err != nil {
		return fail(euicc.StageGetBPP, err)
	}
	defer answer.Close()
	bpp, err := o.receive(answer)
	if err == nil {
		err = o.checkPackage(ctx, bpp)
	}
	if err != nil {
		return fail(euicc.StageGetBPP, err)
	}
	defer func() { o.card.buffers = answer.Memory() + bpp.Memory() }()
	return o.load(ctx, bpp, progress, answer.Close, fail)
}

// receive reads the package up to the protected profile, or all of it when
// overlapping is switched off.
func (o *Order) receive(answer *es9p.Package) (*es10.BPP, error) {
	if !o.card.cfg.Sequential {
		return es10.ReadBPP(answer.Ahead())
	}
	b, err := io.ReadAll(answer)
	if err != nil {
		return nil, err
	}
	return es10.ParseBPP(b)
}

// errMetadata is a package whose metadata differ from those that were shown,
// errTransaction one that is for another session.
var (
	errMetadata    = errors.New("metadata of the package differ from those of the offer")
	errTransaction = errors.New("package is for another transaction ID")
)

// checkPackage does the rest of what SGP.22 3.1.3.3 asks of the LPA before the
// card gets the first segment; es10.ReadBPP has checked the structure.
func (o *Order) checkPackage(ctx context.Context, bpp *es10.BPP) error {
	id, err := bpp.TransactionID()
	if err != nil {
		return err
	}
	if !id.Equal(o.TransactionID) {
		return errTransaction
	}
	m, err := bpp.Metadata()
	if err != nil {
		return err
	}
	if !m.Equal(o.Metadata) {
		return errMetadata
	}
	if err := o.card.needInfo2(ctx); err != nil {
		return err
	}
	err = CheckMemory(o.card.FreeMemory(), bpp.Size())
	if err != nil {
		o.card.info2 = nil // somebody is going to make room
	}
	return err
}

// packageReason is the reason to cancel for when the package did not arrive, or
// not in order. A line that was lost leaves the order as it is; what is wrong
// with a package that did arrive will be wrong with it again.
func packageReason(err error) euicc.CancelReason {
	body, isBody := errors.AsType[*es9p.BodyError](err)
	switch {
	case errors.Is(err, errMetadata):
		return euicc.CancelMetadataMismatch
	case errors.Is(err, es10.ErrBPP), errors.Is(err, errTransaction), isBody && !body.Truncated:
		return euicc.CancelLoadBPPError
	}
	return euicc.CancelPostponed
}

// load sends the segments and settles what became of them. fail is for a package
// whose rest does not come, or not in order; hangUp ends the answer for one that
// the card does not want the rest of.
func (o *Order) load(ctx context.Context, bpp *es10.BPP, progress func(Progress), hangUp func() error, fail func(euicc.Stage, error) (*euicc.InstallResult, error)) (*euicc.InstallResult, error) {
	p := Progress{Stage: euicc.StageLoadBPP, TotalSegments: bpp.Count(), TotalBytes: bpp.Size()}
	progress(p)
	o.card.listed = false
	result, err := es10.LoadBoundProfilePackage{Segments: bpp.Segments(), Sent: func(segments, bytes int) {
		p.Segments, p.TotalSegments, p.Bytes = segments, bpp.Count(), bytes
		progress(p)
	}}.Execute(ctx, o.card.ch)
	if err == nil {
		return o.finish(result)
	}
	le, _ := errors.AsType[*es10.LoadError](err)
	if le != nil && le.Source {
		return fail(euicc.StageGetBPP, err)
	}
	// Nobody reads on: what the server still sends would keep the line from the
	// cancellation.
	_ = hangUp()
	e := diagnose(ctx, euicc.StageLoadBPP, err)
	if le != nil && le.Unknown {
		// The answer to a segment is lost, perhaps the last one's. If the card
		// still answers it knows.
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupCard)
		defer cancel()
		found, ferr := o.card.FindResult(cleanup, o.TransactionID)
		if ferr != nil {
			e.Unknown = true
			e.Advice = "the card does not answer: once it does again its profiles and notifications tell"
			return nil, e
		}
		if found != nil {
			o.card.log.Info("installation result was lost on the way and found on the card")
			return o.finish(found)
		}
		e.Unknown = false
	}
	// What the card refused, or answered without sense, it will again; a line that
	// was lost leaves the order as it is.
	reason := euicc.CancelPostponed
	if se, is := errors.AsType[*apdu.StatusError](err); is && !se.Executed || errors.Is(err, es10.ErrNoResult) {
		reason = euicc.CancelLoadBPPError
	}
	o.abort(ctx, reason, true)
	return nil, e
}

// finish turns a failed installation into an error beside its result.
func (o *Order) finish(r *euicc.InstallResult) (*euicc.InstallResult, error) {
	if r.Success {
		return r, nil
	}
	return r, InstallError(r)
}

// InstallError returns the error for an installation result, nil if it reports
// success.
func InstallError(r *euicc.InstallResult) error {
	if r.Success {
		return nil
	}
	code, d := euicc.DiagnoseInstall(r.Reason)
	e := &euicc.Error{Stage: euicc.StageLoadBPP, Code: code, Install: true, Command: r.Command, BPPReason: r.Reason}
	d.Apply(e)
	return e
}
