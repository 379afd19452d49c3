package hook

import (
	"fmt"
	"os"
)

// residentMemory is what the kernel counts for this process, in bytes (proc(5),
// statm).
func residentMemory() (bytes float64, ok bool) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, false
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0, false
	}
	return float64(resident) * float64(os.Getpagesize()), true
}
