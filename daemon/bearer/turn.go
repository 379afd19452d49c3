package bearer

// turn is a lock that is held over waits of minutes. Who waits for it in a test's
// own time does not keep that time from passing, as with a sync.Mutex.
type turn chan struct{}

// Lock waits for the turn.
func (t turn) Lock() { t <- struct{}{} }

// Unlock gives it on.
func (t turn) Unlock() { <-t }

// TryLock takes the turn if nobody has it.
func (t turn) TryLock() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}
