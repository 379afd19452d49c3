package euiccsim

import "dynamod/euicc/bertlv"

// Where a template's files belong.
type templateParent byte

const (
	parentNone templateParent = iota // the MF itself
	parentMF
	parentADF // the last application of the same kind
)

// template is a file structure template of the TCA specification, annex A. Its
// first file is a DF or ADF unless it extends another template.
type template struct {
	parent  templateParent
	adf     string // kind of the application it makes or belongs to
	extends bool
	files   map[bertlv.Tag]fileTemplate
}

// fileTemplate holds what the profile package may leave out.
type fileTemplate struct {
	fid          uint16
	kind         fileKind
	sfi          byte
	recLen, size int
	fill         string // once, then its last byte; FF when empty
	repeat       bool   // fill again and again instead
}

func (t fileTemplate) file() *file {
	return &file{fid: t.fid, kind: t.kind, sfi: t.sfi, recLen: t.recLen}
}

// templates are the profile elements that create files by template. Files that
// are not in a template's list below are created when the package gives their
// identifier, structure and size.
var templates = map[bertlv.Tag]template{
	tagMF:        {parent: parentNone, files: filesMF},
	tagCD:        {parent: parentMF},
	tagTelecom:   {parent: parentMF},
	tagUSIM:      {parent: parentMF, adf: "usim", files: filesUSIM},
	tagOptUSIM:   {parent: parentADF, adf: "usim", extends: true, files: filesOptUSIM},
	tagISIM:      {parent: parentMF, adf: "isim"},
	tagOptISIM:   {parent: parentADF, adf: "isim", extends: true},
	tagPhonebook: {parent: parentADF, adf: "usim"},
	tagGSMAccess: {parent: parentADF, adf: "usim"},
	tagCSIM:      {parent: parentMF, adf: "csim"},
	tagOptCSIM:   {parent: parentADF, adf: "csim", extends: true},
	tagDF5GS:     {parent: parentADF, adf: "usim"},
	tagDFSAIP:    {parent: parentADF, adf: "usim"},
	tagDFSNPN:    {parent: parentADF, adf: "usim"},
	tagDF5GProSe: {parent: parentADF, adf: "usim"},
}

// filesMF is template A.2, files at MF level.
var filesMF = map[bertlv.Tag]fileTemplate{
	0xA2: {fid: fidMF, kind: kindDF},
	0xA3: {fid: 0x2F05, kind: kindTransparent, size: 2, sfi: 0x05}, // EF_PL
	0xA4: {fid: 0x2FE2, kind: kindTransparent, size: 10},           // EF_ICCID
	0xA5: {fid: 0x2F00, kind: kindLinear, sfi: 0x1E},               // EF_DIR
	0xA6: {fid: 0x2F06, kind: kindLinear},                          // EF_ARR
	0xA7: {fid: 0x2F08, kind: kindTransparent, size: 5, sfi: 0x08}, // EF_UMPC
}

// filesUSIM is the template of the ADF USIM's mandatory files. The fixed sizes
// are those of 3GPP TS 31.102, 4.2.
var filesUSIM = map[bertlv.Tag]fileTemplate{
	0xA2: {kind: kindDF},
	0xA3: {fid: 0x6F07, kind: kindTransparent, size: 9, sfi: 0x07},                                                                                    // EF_IMSI
	0xA4: {fid: 0x6F06, kind: kindLinear, sfi: 0x17},                                                                                                  // EF_ARR
	0xA5: {fid: 0x6F08, kind: kindTransparent, size: 33, sfi: 0x08, fill: "\x07\xFF"},                                                                 // EF_KEYS
	0xA6: {fid: 0x6F09, kind: kindTransparent, size: 33, sfi: 0x09, fill: "\x07\xFF"},                                                                 // EF_KEYSPS
	0xA7: {fid: 0x6F31, kind: kindTransparent, size: 1, sfi: 0x12, fill: "\x0A"},                                                                      // EF_HPPLMN
	0xA8: {fid: 0x6F38, kind: kindTransparent, size: 14, sfi: 0x04},                                                                                   // EF_UST
	0xA9: {fid: 0x6F3B, kind: kindLinear, recLen: 26, size: 520},                                                                                      // EF_FDN
	0xAA: {fid: 0x6F3C, kind: kindLinear, recLen: 176, size: 1760, fill: "\x00\xFF"},                                                                  // EF_SMS
	0xAB: {fid: 0x6F42, kind: kindLinear, recLen: 38, size: 38},                                                                                       // EF_SMSP
	0xAC: {fid: 0x6F43, kind: kindTransparent, size: 2},                                                                                               // EF_SMSS
	0xAD: {fid: 0x6F46, kind: kindTransparent, size: 17},                                                                                              // EF_SPN
	0xAE: {fid: 0x6F56, kind: kindTransparent, size: 1, sfi: 0x05},                                                                                    // EF_EST
	0xAF: {fid: 0x6F5B, kind: kindTransparent, size: 6, sfi: 0x0F, fill: "\xF0\x00\x00\xF0\x00"},                                                      // EF_START-HFN
	0xB0: {fid: 0x6F5C, kind: kindTransparent, size: 3, sfi: 0x10},                                                                                    // EF_THRESHOLD
	0xB1: {fid: 0x6F73, kind: kindTransparent, size: 14, sfi: 0x0C, fill: "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x00\x00\xFF\x01"},                 // EF_PSLOCI
	0xB2: {fid: 0x6F78, kind: kindTransparent, size: 2, sfi: 0x06},                                                                                    // EF_ACC
	0xB3: {fid: 0x6F7B, kind: kindTransparent, size: 12, sfi: 0x0D},                                                                                   // EF_FPLMN
	0xB4: {fid: 0x6F7E, kind: kindTransparent, size: 11, sfi: 0x0B, fill: "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x00\x00\xFF\x01"},                             // EF_LOCI
	0xB5: {fid: 0x6FAD, kind: kindTransparent, size: 4, sfi: 0x03, fill: "\x00\x00\x00\x02"},                                                          // EF_AD
	0xB6: {fid: 0x6FB7, kind: kindLinear, recLen: 4, size: 4, sfi: 0x01},                                                                              // EF_ECC
	0xB7: {fid: 0x6FC4, kind: kindTransparent, size: 128},                                                                                             // EF_NETPAR
	0xB8: {fid: 0x6FE3, kind: kindTransparent, size: 18, sfi: 0x1E, fill: "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x00\x00\x01"}, // EF_EPSLOCI
	0xB9: {fid: 0x6FE4, kind: kindLinear, recLen: 80, size: 80, sfi: 0x18},                                                                            // EF_EPSNSC
}

// filesOptUSIM is the template of the ADF USIM's optional files.
var filesOptUSIM = map[bertlv.Tag]fileTemplate{
	0xA2:   {fid: 0x6F05, kind: kindTransparent, size: 6, sfi: 0x02},                                                                                                                         // EF_LI
	0xA3:   {fid: 0x6F37, kind: kindTransparent, size: 3, fill: "\x00"},                                                                                                                      // EF_ACMAX
	0xA4:   {fid: 0x6F39, kind: kindCyclic, recLen: 3, size: 3, fill: "\x00"},                                                                                                                // EF_ACM
	0xA5:   {fid: 0x6F3E, kind: kindTransparent, size: 8},                                                                                                                                    // EF_GID1
	0xA6:   {fid: 0x6F3F, kind: kindTransparent, size: 8},                                                                                                                                    // EF_GID2
	0xA7:   {fid: 0x6F40, kind: kindLinear, recLen: 24, size: 24},                                                                                                                            // EF_MSISDN
	0xA8:   {fid: 0x6F41, kind: kindTransparent, size: 5, fill: "\xFF\xFF\xFF\x00"},                                                                                                          // EF_PUCT
	0xA9:   {fid: 0x6F45, kind: kindTransparent, size: 10},                                                                                                                                   // EF_CBMI
	0xAA:   {fid: 0x6F48, kind: kindTransparent, size: 10, sfi: 0x0E},                                                                                                                        // EF_CBMID
	0xAB:   {fid: 0x6F49, kind: kindLinear, recLen: 24, size: 240},                                                                                                                           // EF_SDN
	0xAC:   {fid: 0x6F4B, kind: kindLinear, recLen: 13, size: 130, fill: "\x00\xFF"},                                                                                                         // EF_EXT2
	0xAD:   {fid: 0x6F4C, kind: kindLinear, recLen: 13, size: 130, fill: "\x00\xFF"},                                                                                                         // EF_EXT3
	0xAE:   {fid: 0x6F50, kind: kindTransparent, size: 20},                                                                                                                                   // EF_CBMIR
	0xAF:   {fid: 0x6F60, kind: kindTransparent, size: 40, sfi: 0x0A, fill: "\xFF\xFF\xFF\x00\x00", repeat: true},                                                                            // EF_PLMNWACT
	0xB0:   {fid: 0x6F61, kind: kindTransparent, size: 40, sfi: 0x11, fill: "\xFF\xFF\xFF\x00\x00", repeat: true},                                                                            // EF_OPLMNWACT
	0xB1:   {fid: 0x6F62, kind: kindTransparent, size: 5, sfi: 0x13, fill: "\xFF\xFF\xFF\x00\x00", repeat: true},                                                                             // EF_HPLMNWACT
	0xB2:   {fid: 0x6F2C, kind: kindTransparent, size: 16},                                                                                                                                   // EF_DCK
	0xB3:   {fid: 0x6F32, kind: kindTransparent, size: 30},                                                                                                                                   // EF_CNL
	0xB4:   {fid: 0x6F47, kind: kindLinear, recLen: 30, size: 300, fill: "\x00\xFF"},                                                                                                         // EF_SMSR
	0xB5:   {fid: 0x6F4D, kind: kindLinear, recLen: 25, size: 250},                                                                                                                           // EF_BDN
	0xB6:   {fid: 0x6F4E, kind: kindLinear, recLen: 13, size: 130, fill: "\x00\xFF"},                                                                                                         // EF_EXT5
	0xB7:   {fid: 0x6F4F, kind: kindLinear, recLen: 15, size: 75, sfi: 0x16},                                                                                                                 // EF_CCP2
	0xB8:   {fid: 0x6F55, kind: kindLinear, recLen: 13, size: 130, fill: "\x00\xFF"},                                                                                                         // EF_EXT4
	0xB9:   {fid: 0x6F57, kind: kindTransparent, size: 101, fill: "\x00\xFF"},                                                                                                                // EF_ACL
	0xBA:   {fid: 0x6F58, kind: kindLinear, recLen: 11, size: 110},                                                                                                                           // EF_CMI
	0xBB:   {fid: 0x6F80, kind: kindCyclic, recLen: 38, size: 760, sfi: 0x14},                                                                                                                // EF_ICI
	0xBC:   {fid: 0x6F81, kind: kindCyclic, recLen: 37, size: 740, sfi: 0x15},                                                                                                                // EF_OCI
	0xBD:   {fid: 0x6F82, kind: kindCyclic, recLen: 3, size: 3, fill: "\x00"},                                                                                                                // EF_ICT
	0xBE:   {fid: 0x6F83, kind: kindCyclic, recLen: 3, size: 3, fill: "\x00"},                                                                                                                // EF_OCT
	0xBF1F: {fid: 0x6FB1, kind: kindTransparent, size: 20},                                                                                                                                   // EF_VGCS
	0xBF20: {fid: 0x6FB2, kind: kindTransparent, size: 7},                                                                                                                                    // EF_VGCSS
	0xBF21: {fid: 0x6FB3, kind: kindTransparent, size: 20},                                                                                                                                   // EF_VBS
	0xBF22: {fid: 0x6FB4, kind: kindTransparent, size: 7},                                                                                                                                    // EF_VBSS
	0xBF23: {fid: 0x6FB5, kind: kindTransparent, size: 2},                                                                                                                                    // EF_EMLPP
	0xBF24: {fid: 0x6FB6, kind: kindTransparent, size: 1, fill: "\x00"},                                                                                                                      // EF_AAEM
	0xBF25: {fid: 0x6FC3, kind: kindTransparent, size: 4},                                                                                                                                    // EF_HIDDENKEY
	0xBF26: {fid: 0x6FC5, kind: kindLinear, recLen: 16, size: 160, sfi: 0x19},                                                                                                                // EF_PNN
	0xBF27: {fid: 0x6FC6, kind: kindLinear, recLen: 8, size: 40, sfi: 0x1A},                                                                                                                  // EF_OPL
	0xBF28: {fid: 0x6FC7, kind: kindLinear, recLen: 24, size: 72},                                                                                                                            // EF_MBDN
	0xBF29: {fid: 0x6FC8, kind: kindLinear, recLen: 13, size: 130, fill: "\x00\xFF"},                                                                                                         // EF_EXT6
	0xBF2A: {fid: 0x6FC9, kind: kindLinear, recLen: 5, size: 50},                                                                                                                             // EF_MBI
	0xBF2B: {fid: 0x6FCA, kind: kindLinear, recLen: 6, size: 60, fill: "\x00"},                                                                                                               // EF_MWIS
	0xBF2C: {fid: 0x6FCB, kind: kindLinear, recLen: 16, size: 160, fill: "\x01\x00\xFF"},                                                                                                     // EF_CFIS
	0xBF2D: {fid: 0x6FCC, kind: kindLinear, recLen: 13, size: 130, fill: "\x00\xFF"},                                                                                                         // EF_EXT7
	0xBF2E: {fid: 0x6FCD, kind: kindTransparent, size: 17, sfi: 0x1B},                                                                                                                        // EF_SPDI
	0xBF2F: {fid: 0x6FCE, kind: kindLinear, recLen: 6, size: 60, fill: "\x00\x00\x00\xFF"},                                                                                                   // EF_MMSN
	0xBF30: {fid: 0x6FCF, kind: kindLinear, recLen: 13, size: 130, fill: "\x00\xFF"},                                                                                                         // EF_EXT8
	0xBF31: {fid: 0x6FD0, kind: kindTransparent, size: 100},                                                                                                                                  // EF_MMSICP
	0xBF32: {fid: 0x6FD1, kind: kindLinear},                                                                                                                                                  // EF_MMSUP
	0xBF33: {fid: 0x6FD2, kind: kindTransparent, size: 100},                                                                                                                                  // EF_MMSUCP
	0xBF34: {fid: 0x6FD3, kind: kindLinear, recLen: 11, size: 55},                                                                                                                            // EF_NIA
	0xBF35: {fid: 0x6FD4, kind: kindTransparent, fill: "\x00"},                                                                                                                               // EF_VGCSCA
	0xBF36: {fid: 0x6FD5, kind: kindTransparent, fill: "\x00"},                                                                                                                               // EF_VBSCA
	0xBF37: {fid: 0x6FD6, kind: kindTransparent},                                                                                                                                             // EF_GBABP
	0xBF38: {fid: 0x6FD7, kind: kindLinear},                                                                                                                                                  // EF_MSK
	0xBF39: {fid: 0x6FD8, kind: kindLinear},                                                                                                                                                  // EF_MUK
	0xBF3A: {fid: 0x6FD9, kind: kindTransparent, size: 15, sfi: 0x1D},                                                                                                                        // EF_EHPLMN
	0xBF3B: {fid: 0x6FDA, kind: kindLinear},                                                                                                                                                  // EF_GBANL
	0xBF3C: {fid: 0x6FDB, kind: kindTransparent, size: 1, fill: "\x00"},                                                                                                                      // EF_EHPLMNPI
	0xBF3D: {fid: 0x6FDC, kind: kindTransparent, size: 1, fill: "\x00"},                                                                                                                      // EF_LRPLMNSI
	0xBF3E: {fid: 0x6FDD, kind: kindLinear},                                                                                                                                                  // EF_NAFKCA
	0xBF3F: {fid: 0x6FDE, kind: kindTransparent, fill: "\x00\xFF"},                                                                                                                           // EF_SPNI
	0xBF40: {fid: 0x6FDF, kind: kindLinear, fill: "\x00\xFF"},                                                                                                                                // EF_PNNI
	0xBF41: {fid: 0x6FE2, kind: kindLinear},                                                                                                                                                  // EF_NCP-IP
	0xBF42: {fid: 0x6FE6, kind: kindTransparent, size: 30, fill: "\x80\x1E\x60\xC0\x1E\x90\x00\x80\x04\x00\x00\x00\x00\x00\x00\x00\x00\xF0\x00\x00\x00\x00\x40\x00\x00\x00\x00\x00\x00\x80"}, // EF_UFC
	0xBF43: {fid: 0x6FE8, kind: kindTransparent, size: 18},                                                                                                                                   // EF_NASCONFIG
	0xBF44: {fid: 0x6FE7, kind: kindLinear},                                                                                                                                                  // EF_UICCIARI
	0xBF45: {fid: 0x6FEC, kind: kindTransparent},                                                                                                                                             // EF_PWS
	0xBF46: {fid: 0x6FED, kind: kindLinear},                                                                                                                                                  // EF_FDNURI
	0xBF47: {fid: 0x6FEE, kind: kindLinear},                                                                                                                                                  // EF_BDNURI
	0xBF48: {fid: 0x6FEF, kind: kindLinear},                                                                                                                                                  // EF_SDNURI
	0xBF49: {fid: 0x6FF0, kind: kindLinear},                                                                                                                                                  // EF_IAL
	0xBF4A: {fid: 0x6FF1, kind: kindCyclic, recLen: 4},                                                                                                                                       // EF_IPS
	0xBF4B: {fid: 0x6FF2, kind: kindLinear},                                                                                                                                                  // EF_IPD
}
