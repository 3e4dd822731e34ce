package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"slices"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// The one stream of a connection.
const streamID = 1

// window is how much we take before we let the server send more; as with Envoy, it is never what a server waits for.
const window = 1 << 30

// kept is the size above which the buffer of a message is not used again: a first sync needs large ones, and nothing else does.
const kept = 64 << 10

// outgoing is how much we write at once: all that a server lets us send at first, as Envoy does.
const outgoing = 64 << 10

// connection is a gRPC call over a connection of its own, spoken by one goroutine: it takes a fraction of what a general client
// takes, and so leaves the machine to the server.
type connection struct {
	net        net.Conn
	in         *bufio.Reader
	out        *bufio.Writer
	frames     *http2.Framer
	message    []byte
	unsent     []byte // for want of window
	maxFrame   int
	connection int64 // what we may still send on the connection
	stream     int64 // what we may still send on the stream
	initial    int64 // SETTINGS_INITIAL_WINDOW_SIZE of the server
	taken      int64 // since we last opened our windows
}

func dial(address, method string) (*connection, error) {
	dialed, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &connection{net: dialed, in: bufio.NewReaderSize(dialed, 16<<10), out: bufio.NewWriterSize(dialed, outgoing)}
	c.maxFrame, c.connection, c.stream, c.initial = 16<<10, 65535, 65535, 65535
	c.frames = http2.NewFramer(c.out, c.in)
	c.frames.SetReuseFrames()
	c.frames.SetMaxReadFrameSize(1<<24 - 1)
	c.frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, err = c.out.WriteString(http2.ClientPreface)
	err = first2(err, c.frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: math.MaxInt32}))
	err = first2(err, c.frames.WriteWindowUpdate(0, math.MaxInt32-65535))
	return c, first2(err, c.open(address, method))
}

func first2(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

func (c *connection) open(authority, method string) error {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", method}, {":authority", authority},
		{"content-type", "application/grpc"}, {"te", "trailers"},
	} {
		if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			return err
		}
	}
	err := c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: streamID, BlockFragment: block.Bytes(), EndHeaders: true})
	return first2(err, c.out.Flush())
}

// send writes a message, with its prefix, as soon as the server lets us; the next read sees to the rest. The message is ours then.
func (c *connection) send(message []byte) error {
	if c.unsent == nil {
		c.unsent = message
	} else {
		c.unsent = append(c.unsent, message...)
	}
	return c.write()
}

func (c *connection) write() error {
	for len(c.unsent) > 0 {
		size := min(int64(len(c.unsent)), int64(c.maxFrame), c.connection, c.stream)
		if size <= 0 {
			break
		}
		if err := c.frames.WriteData(streamID, false, c.unsent[:size]); err != nil {
			return err
		}
		c.unsent, c.connection, c.stream = c.unsent[size:], c.connection-size, c.stream-size
	}
	if len(c.unsent) == 0 {
		c.unsent = nil
	}
	return nil
}

// read returns the next message; it is good until the next read.
func (c *connection) read() ([]byte, error) {
	c.drop()
	for {
		if message, whole := c.whole(); whole {
			return message, nil
		}
		if c.in.Buffered() == 0 {
			if err := c.out.Flush(); err != nil {
				return nil, err
			}
		}
		frame, err := c.frames.ReadFrame()
		if err != nil {
			return nil, err
		}
		if err := c.take(frame); err != nil {
			return nil, err
		}
	}
}

// whole returns the message at the front of what was received, if all of it was.
func (c *connection) whole() ([]byte, bool) {
	if len(c.message) < 5 || len(c.message) < c.end() {
		return nil, false
	}
	return c.message[5:c.end()], true
}

// end returns where the message at the front ends.
func (c *connection) end() int { return 5 + int(binary.BigEndian.Uint32(c.message[1:5])) }

// drop forgets the message that was returned last.
func (c *connection) drop() {
	if _, whole := c.whole(); !whole {
		return
	}
	rest := c.message[c.end():]
	if cap(c.message) > kept {
		c.message = bytes.Clone(rest)
		return
	}
	c.message = append(c.message[:0], rest...)
}

func (c *connection) take(frame http2.Frame) error {
	switch frame := frame.(type) {
	case *http2.DataFrame:
		c.message = append(c.message, frame.Data()...)
		if len(c.message) >= 5 {
			c.message = slices.Grow(c.message, max(0, c.end()-len(c.message)))
		}
		return c.took(int64(frame.Length))
	case *http2.WindowUpdateFrame:
		if frame.StreamID == 0 {
			c.connection += int64(frame.Increment)
		} else {
			c.stream += int64(frame.Increment)
		}
		return c.write()
	case *http2.SettingsFrame:
		return c.settings(frame)
	case *http2.PingFrame:
		if !frame.IsAck() {
			return c.frames.WritePing(true, frame.Data)
		}
	case *http2.MetaHeadersFrame:
		if frame.StreamEnded() {
			return fmt.Errorf("the server has ended the stream: %v", frame.Fields)
		}
	case *http2.RSTStreamFrame:
		return fmt.Errorf("the server has reset the stream: %v", frame.ErrCode)
	case *http2.GoAwayFrame:
		return fmt.Errorf("the server sends us away: %v", frame.ErrCode)
	}
	return nil
}

// took lets the server send as much again as it has sent.
func (c *connection) took(size int64) error {
	if c.taken += size; c.taken < window {
		return nil
	}
	increment := uint32(c.taken)
	c.taken = 0
	return first2(c.frames.WriteWindowUpdate(0, increment), c.frames.WriteWindowUpdate(streamID, increment))
}

func (c *connection) settings(frame *http2.SettingsFrame) error {
	if frame.IsAck() {
		return nil
	}
	if size, said := frame.Value(http2.SettingInitialWindowSize); said {
		c.stream += int64(size) - c.initial
		c.initial = int64(size)
	}
	if size, said := frame.Value(http2.SettingMaxFrameSize); said {
		c.maxFrame = int(min(size, 16<<10))
	}
	return first2(c.frames.WriteSettingsAck(), c.write())
}
