package sim

import "slices"

// sleep ends what runs and takes nothing in until it wakes.
func (c *core) sleep() {
	c.sleeping = true
	c.abortAll()
}

// abortAll ends every sequence with the finish reason "abort", which no counter shows.
func (c *core) abortAll() int { return c.abortIf(func(*sequence) bool { return true }) }

func (c *core) abortIDs(ids []string) int {
	return c.abortIf(func(s *sequence) bool { return slices.Contains(ids, s.job.id) })
}

func (c *core) abortIf(chosen func(*sequence) bool) (n int) {
	for _, list := range [][]*sequence{c.inbox, c.deferred, c.waiting, c.running} {
		for _, s := range slices.Clone(list) {
			if !chosen(s) {
				continue
			}
			c.remove(s)
			s.out.finish = "abort"
			s.job.wake(s)
			n++
		}
	}
	c.publish()
	return n
}
