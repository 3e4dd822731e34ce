package main

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// none is the number of no change.
const none = -1

// following is a sequence of changes, each of which gives a service an address that nothing had before, and when each stream had
// which. The changes are found once in each version of an assignment, for all streams that hold it.
type following struct {
	number map[string]int // address -> its change
	before []int          // the change of the same service before each change
	atNs   [][]atomic.Int64
	left   atomic.Int64 // changes that some stream lacks, for each such stream
	done   chan struct{}
}

func newFollowing(streams int, services []int, addresses []string) *following {
	f := &following{number: make(map[string]int, len(addresses)), done: make(chan struct{})}
	last := map[int]int{}
	for change, address := range addresses {
		f.number[address] = change
		before, changed := last[services[change]]
		if !changed {
			before = none
		}
		f.before = append(f.before, before)
		last[services[change]] = change
	}
	for range streams {
		f.atNs = append(f.atNs, make([]atomic.Int64, len(addresses)))
	}
	f.left.Store(int64(streams * len(addresses)))
	return f
}

// lookInto returns how many endpoints an assignment has, and the newest change in it that is followed.
func (c *crowd) lookInto(assignment []byte) (addresses, newest int) {
	newest = none
	followed := c.followed.Load()
	inside(assignment, addressOfEndpoint, func(address []byte) {
		addresses++
		if followed == nil {
			return
		}
		if change, known := followed.number[string(address)]; known {
			newest = max(newest, change)
		}
	})
	return addresses, newest
}

// addressOfEndpoint leads to ClusterLoadAssignment.endpoints.lb_endpoints.endpoint.address.socket_address.address.
var addressOfEndpoint = []protowire.Number{2, 2, 1, 1, 1, 2}

// mark says that a stream has a change, and with it what its service was given before; the stream itself must call it.
func (f *following) mark(stream, change int) {
	at, now, marked := f.atNs[stream], int64(nowS()*1e9), int64(0)
	for ; change != none && at[change].Load() == 0; change = f.before[change] {
		at[change].Store(now)
		marked++
	}
	if marked > 0 && f.left.Add(-marked) == 0 {
		close(f.done)
	}
}

// staleness tells for how long streams lacked changes, waiting for those that some stream lacks.
func (f *following) staleness(madeAtS []float64, wait time.Duration) fields {
	select {
	case <-f.done:
	case <-time.After(wait):
	}
	byStream, everywhere := f.lacked(madeAtS)
	worst := 0.0
	for _, one := range byStream {
		worst = max(worst, part(one, 0.99))
	}
	all := slices.Concat(byStream...)
	slices.Sort(all)
	return fields{
		"median_s": part(all, 0.5), "p99_s": part(all, 0.99), "longest_s": part(all, 1), "worst_stream_p99_s": worst,
		"lacking": f.left.Load(), "everywhere": everywhere, "last_at_s": f.lastS(), "cpu_s": cpuS(),
	}
}

// lacked returns for how many seconds each stream has lacked each change, until now if it still does, sorted, and how many changes
// no stream lacks.
func (f *following) lacked(madeAtS []float64) (byStream [][]float64, everywhere int) {
	now := nowS()
	lacking := make([]bool, len(madeAtS))
	for _, at := range f.atNs {
		one := make([]float64, len(madeAtS))
		for change, madeS := range madeAtS {
			hadS := float64(at[change].Load()) / 1e9
			if hadS == 0 {
				hadS, lacking[change] = now, true
			}
			one[change] = hadS - madeS
		}
		slices.Sort(one)
		byStream = append(byStream, one)
	}
	for _, is := range lacking {
		if !is {
			everywhere++
		}
	}
	return byStream, everywhere
}

// lastS returns when a stream had something that it had lacked, for the last time.
func (f *following) lastS() float64 {
	last := int64(0)
	for _, at := range f.atNs {
		for change := range at {
			last = max(last, at[change].Load())
		}
	}
	return float64(last) / 1e9
}

// part returns the value below which a part of sorted values is, from 0 to 1.
func part(sorted []float64, share float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	return sorted[int(share*float64(len(sorted)-1))]
}
