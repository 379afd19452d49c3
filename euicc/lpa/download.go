package lpa

import (
	"context"
	"errors"

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
	Segments, TotalSegments int
	Bytes, TotalBytes       int
}

// errEnded is a call of Download or Cancel after the session has ended.
var errEnded = errors.New("the session has ended")

// Download fetches the profile and brings it to the card (SGP.22 3.1.3). The
// confirmation code is used only when the server asks for one. progress may be
// nil; it is called from this goroutine.
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
	answer, err := es9p.GetBoundProfilePackage{TransactionID: o.TransactionID, Response: signed.Raw}.Execute(ctx, o.client, o.Server)
	if err != nil {
		e := diagnose(ctx, euicc.StageGetBPP, err, o.matching.Reveal(), cc.Reveal())
		reason := euicc.CancelPostponed
		if be, is := errors.AsType[*es9p.BodyError](err); is && !be.Truncated {
			reason = euicc.CancelLoadBPPError
		}
		o.abort(ctx, reason, !refused(err))
		return nil, e
	}
	bpp, reason, err := o.checkPackage(answer)
	if err != nil {
		e := diagnose(ctx, euicc.StageGetBPP, err)
		o.abort(ctx, reason, true)
		return nil, e
	}
	return o.load(ctx, bpp, progress)
}

// errMetadata is a package whose metadata differ from those that were shown.
var errMetadata = errors.New("metadata of the package differ from those of the offer")

// checkPackage does what SGP.22 3.1.3.3 asks of the LPA before the card gets the
// first segment.
func (o *Order) checkPackage(answer *es9p.GetBoundProfilePackageResponse) (*es10.BPP, euicc.CancelReason, error) {
	bpp, err := es10.ParseBPP(answer.Package)
	if err != nil {
		return nil, euicc.CancelLoadBPPError, err
	}
	id, err := bpp.TransactionID()
	if err != nil {
		return nil, euicc.CancelLoadBPPError, err
	}
	if !id.Equal(o.TransactionID) || !answer.TransactionID.Equal(o.TransactionID) {
		return nil, euicc.CancelLoadBPPError, errTransaction
	}
	m, err := bpp.Metadata()
	if err != nil {
		return nil, euicc.CancelLoadBPPError, err
	}
	if !m.Equal(o.Metadata) {
		return nil, euicc.CancelMetadataMismatch, errMetadata
	}
	if err := CheckMemory(o.card.FreeMemory(), bpp.Size()); err != nil {
		return nil, euicc.CancelPostponed, err
	}
	return bpp, 0, nil
}

// errTransaction is a package for another session.
var errTransaction = errors.New("package is for another transaction ID")

// load sends the segments and settles what became of them.
func (o *Order) load(ctx context.Context, bpp *es10.BPP, progress func(Progress)) (*euicc.InstallResult, error) {
	p := Progress{Stage: euicc.StageLoadBPP, TotalSegments: bpp.Count(), TotalBytes: bpp.Size()}
	progress(p)
	result, err := es10.LoadBoundProfilePackage{Segments: bpp.Segments(), Sent: func(segments, bytes int) {
		p.Segments, p.Bytes = segments, bytes
		progress(p)
	}}.Execute(ctx, o.card.ch)
	if err == nil {
		return o.finish(result)
	}
	e := diagnose(ctx, euicc.StageLoadBPP, err)
	le, _ := errors.AsType[*es10.LoadError](err)
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
	reason := euicc.CancelPostponed
	if _, is := errors.AsType[*apdu.StatusError](err); is || errors.Is(err, es10.ErrNoResult) || le != nil && le.Sent > 0 && ctx.Err() == nil {
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
