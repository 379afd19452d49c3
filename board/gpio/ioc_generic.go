//go:build !mips && !mipsle && !mips64 && !mips64le && !ppc64 && !ppc64le

package gpio

// Directions of an ioctl (asm-generic/ioctl.h).
const (
	iocWrite = 1 << 30
	iocRead  = 2 << 30
)
