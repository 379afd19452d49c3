package euiccsim

import (
	"dynamod/euicc/apdu"
	"dynamod/euicc/bertlv"
)

// Function tags of ES10a, ES10b and ES10c (SGP.22, 5.7).
const (
	tagGetEUICCInfo1           = 0xBF20
	tagPrepareDownload         = 0xBF21
	tagGetEUICCInfo2           = 0xBF22
	tagInitialiseSecureChannel = 0xBF23
	tagConfigureISDP           = 0xBF24
	tagStoreMetadata           = 0xBF25
	tagReplaceSessionKeys      = 0xBF26
	tagResultData              = 0xBF27
	tagListNotification        = 0xBF28
	tagSetNickname             = 0xBF29
	tagRetrieveNotifications   = 0xBF2B
	tagGetProfilesInfo         = 0xBF2D
	tagGetChallenge            = 0xBF2E
	tagNotificationMetadata    = 0xBF2F
	tagRemoveNotification      = 0xBF30
	tagEnableProfile           = 0xBF31
	tagDisableProfile          = 0xBF32
	tagDeleteProfile           = 0xBF33
	tagMemoryReset             = 0xBF34
	tagBoundProfilePackage     = 0xBF36
	tagInstallationResult      = 0xBF37
	tagAuthenticateServer      = 0xBF38
	tagGetAddresses            = 0xBF3C
	tagGetEUICCData            = 0xBF3E
	tagSetDefaultDP            = 0xBF3F
	tagCancelSession           = 0xBF41
	tagGetRAT                  = 0xBF43

	tagSignature = 0x5F37
	tagOTPK      = 0x5F49
	tagICCID     = 0x5A
	tagAID       = 0x4F
)

// undefinedError is the last resort of most SGP.22 result lists.
const undefinedError = 127

// maxCommand bounds what a STORE DATA chain may hold; 256 blocks hold 65,280
// bytes.
const maxCommand = 256 * 255

// storeData is STORE DATA as SGP.22, 5.7.2 uses it: blocks of one function, P2
// counting from 0, P1 91 on the last. An answer belongs to the last block.
func (c *Card) storeData(ch *channel, number int, cmd apdu.Command) ([]byte, apdu.Status) {
	if cmd.P1 != 0x11 && cmd.P1 != 0x91 {
		return nil, swWrongP1P2
	}
	switch {
	case cmd.P2 == 0 && ch.next != 256:
		ch.chain, ch.next = nil, 0 // a new function; an unfinished one is dropped
	case int(cmd.P2) != ch.next:
		ch.chain, ch.next = nil, 0
		return nil, swWrongP1P2
	}
	if len(ch.chain)+len(cmd.Data) > maxCommand {
		ch.chain, ch.next = nil, 0
		return nil, swWrongData
	}
	ch.chain = append(ch.chain, cmd.Data...)
	if cmd.P1 == 0x11 {
		ch.next++
		return nil, swOK
	}
	data := ch.chain
	ch.chain, ch.next = nil, 0
	return c.function(ch, number, data)
}

// function executes one function of the ISD-R.
func (c *Card) function(ch *channel, number int, data []byte) ([]byte, apdu.Status) {
	tag, _, _, err := bertlv.Header(data)
	if err != nil {
		return nil, swWrongData
	}
	if c.asked == nil {
		c.asked = map[bertlv.Tag]int{}
	}
	c.asked[tag]++
	switch tag {
	case tagBoundProfilePackage, 0x86, 0x87, 0x88, 0xA0, 0xA1, 0xA2, 0xA3:
		return c.loadSegment(ch, number, tag, data)
	}
	e, err := bertlv.Parse(data)
	if err != nil || bertlv.Check(e.Value) != nil && tag != tagGetProfilesInfo {
		return nil, swWrongData
	}
	switch tag {
	case tagGetEUICCInfo1:
		return c.info1(), swOK
	case tagGetEUICCInfo2:
		return c.info2(), swOK
	case tagGetAddresses:
		return c.addresses(), swOK
	case tagSetDefaultDP:
		return c.setDefaultDP(e)
	case tagGetEUICCData:
		return c.getEID(e)
	case tagGetRAT:
		return c.getRAT(), swOK
	case tagGetChallenge:
		return c.getChallenge(number)
	case tagAuthenticateServer:
		return c.authenticateServer(ch, number, e)
	case tagPrepareDownload:
		return c.prepareDownload(number, e)
	case tagCancelSession:
		return c.cancelSession(e)
	case tagListNotification:
		return c.listNotification(e)
	case tagRetrieveNotifications:
		return c.retrieveNotifications(e)
	case tagRemoveNotification:
		return c.removeNotification(e)
	case tagGetProfilesInfo:
		return c.getProfilesInfo(e), swOK
	case tagEnableProfile:
		return c.enableProfile(e)
	case tagDisableProfile:
		return c.disableProfile(e)
	case tagDeleteProfile:
		return c.deleteProfile(e)
	case tagMemoryReset:
		return c.memoryReset(e)
	case tagSetNickname:
		return c.setNickname(e)
	}
	return nil, swReferencedData
}

// result is a response that holds one INTEGER with tag 80.
func result(tag bertlv.Tag, code int64) []byte {
	return new(bertlv.Builder).Open(tag).Int(0x80, code).Close().Bytes()
}

// value returns the value of e's first child with the given tag; nil if absent.
func value(e bertlv.Element, tag bertlv.Tag) []byte {
	if c, ok := e.Find(tag); ok {
		if c.Value == nil {
			return []byte{}
		}
		return c.Value
	}
	return nil
}
