//go:build mips || mipsle || mips64 || mips64le || ppc64 || ppc64le

package gpio

// Directions of an ioctl (asm/ioctl.h of mips and powerpc, which have three bits for them).
const (
	iocRead  = 2 << 29
	iocWrite = 4 << 29
)
