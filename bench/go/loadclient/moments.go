package main

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protowire"
)

var epoch, epochS = time.Now(), monotonicS()

func monotonicS() float64 {
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &at); err != nil {
		panic(err)
	}
	return float64(at.Nano()) / 1e9
}

// nowS returns what Python's time.monotonic() returns in another process of the machine.
func nowS() float64 { return epochS + time.Since(epoch).Seconds() }

// moments are when each stream reached something, once for each.
type moments struct {
	atS  []float64 // by stream; 0: not yet
	left atomic.Int64
	done chan struct{}
}

func newMoments(streams int) *moments {
	m := &moments{atS: make([]float64, streams), done: make(chan struct{})}
	m.left.Store(int64(streams))
	return m
}

// mark must be called by the stream itself.
func (m *moments) mark(stream int) {
	if m.atS[stream] == 0 {
		m.atS[stream] = nowS()
		if m.left.Add(-1) == 0 {
			close(m.done)
		}
	}
}

// part returns when a part of the streams, from 0 to 1, was there; all must be.
func (m *moments) part(share float64) float64 {
	return part(slices.Sorted(slices.Values(m.atS)), share)
}

// expectations are addresses that are looked for in what streams are sent.
type expectations struct {
	lock sync.Mutex
	list atomic.Pointer[[]*expectation]
}

type expectation struct {
	*moments
	address string
	needle  []byte
}

// add waits for an address at every stream; told is called once all have it.
func (e *expectations) add(address string, streams int, told func(*expectation)) {
	// SocketAddress.address is field 2; with tag and length, 10.0.0.1 is not found in 10.0.0.11.
	needle := protowire.AppendString(protowire.AppendTag(nil, 2, protowire.BytesType), address)
	made := &expectation{newMoments(streams), address, needle}
	e.change(func(list []*expectation) []*expectation { return append(list, made) })
	go func() {
		<-made.done
		e.change(func(list []*expectation) []*expectation {
			return slices.DeleteFunc(list, func(other *expectation) bool { return other == made })
		})
		told(made)
	}()
}

func (e *expectations) change(how func([]*expectation) []*expectation) {
	e.lock.Lock()
	defer e.lock.Unlock()
	var before []*expectation
	if list := e.list.Load(); list != nil {
		before = slices.Clone(*list)
	}
	after := how(before)
	e.list.Store(&after)
}

func (e *expectations) look(stream int, message []byte) {
	list := e.list.Load()
	if list == nil {
		return
	}
	for _, one := range *list {
		if one.atS[stream] == 0 && bytes.Contains(message, one.needle) {
			one.mark(stream)
		}
	}
}
