package gpio

import "unsafe"

// Sizes and places by linux/gpio.h, the same on each machine. An array of another
// length is another type, so that a gap does not compile.
var (
	_ [68]byte  = [unsafe.Sizeof(chipInfo{})]byte{}
	_ [16]byte  = [unsafe.Sizeof(lineAttribute{})]byte{}
	_ [256]byte = [unsafe.Sizeof(lineInfo{})]byte{}
	_ [64]byte  = [unsafe.Offsetof(lineInfo{}.offset)]byte{}
	_ [72]byte  = [unsafe.Offsetof(lineInfo{}.flags)]byte{}
	_ [80]byte  = [unsafe.Offsetof(lineInfo{}.attrs)]byte{}
	_ [24]byte  = [unsafe.Sizeof(configAttribute{})]byte{}
	_ [592]byte = [unsafe.Sizeof(lineRequest{})]byte{}
	_ [256]byte = [unsafe.Offsetof(lineRequest{}.consumer)]byte{}
	_ [288]byte = [unsafe.Offsetof(lineRequest{}.config)]byte{}
	_ [32]byte  = [unsafe.Offsetof(lineRequest{}.config.attrs)]byte{}
	_ [560]byte = [unsafe.Offsetof(lineRequest{}.lineCount)]byte{}
	_ [588]byte = [unsafe.Offsetof(lineRequest{}.fd)]byte{}
	_ [16]byte  = [unsafe.Sizeof(lineValues{})]byte{}
)
