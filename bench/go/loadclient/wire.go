package main

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
)

// found is a resource in a response; its slices are parts of the message.
type found struct {
	name, version, body []byte
}

// response is what matters of a DeltaDiscoveryResponse or a DiscoveryResponse.
type response struct {
	typeURL, nonce, version string
	resources               []found
	removed                 [][]byte
}

// texts calls visit with each length-delimited field of a message, and skips the others.
func texts(message []byte, visit func(number protowire.Number, value []byte)) {
	for len(message) > 0 {
		number, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			panic(protowire.ParseError(size))
		}
		message = message[size:]
		if kind == protowire.BytesType {
			value, size := protowire.ConsumeBytes(message)
			if size < 0 {
				panic(protowire.ParseError(size))
			}
			visit(number, value)
			message = message[size:]
			continue
		}
		if size = protowire.ConsumeFieldValue(number, kind, message); size < 0 {
			panic(protowire.ParseError(size))
		}
		message = message[size:]
	}
}

// inside calls visit with each length-delimited field to which a path of numbers leads.
func inside(message []byte, path []protowire.Number, visit func(value []byte)) {
	texts(message, func(number protowire.Number, value []byte) {
		switch {
		case number != path[0]:
		case len(path) == 1:
			visit(value)
		default:
			inside(value, path[1:], visit)
		}
	})
}

// first returns the first length-delimited field of a number; nil if there is none.
func first(message []byte, wanted protowire.Number) (result []byte) {
	texts(message, func(number protowire.Number, value []byte) {
		if number == wanted && result == nil {
			result = value
		}
	})
	return result
}

func decodeDelta(message []byte) (r response) {
	texts(message, func(number protowire.Number, value []byte) {
		switch number {
		case 2:
			r.resources = append(r.resources, deltaResource(value))
		case 4:
			r.typeURL = string(value)
		case 5:
			r.nonce = string(value)
		case 6:
			r.removed = append(r.removed, value)
		}
	})
	return r
}

func deltaResource(message []byte) (f found) {
	texts(message, func(number protowire.Number, value []byte) {
		switch number {
		case 1:
			f.version = value
		case 2:
			f.body = first(value, 2)
		case 3:
			f.name = value
		}
	})
	return f
}

func decodeSotw(message []byte) (r response) {
	texts(message, func(number protowire.Number, value []byte) {
		switch number {
		case 1:
			r.version = string(value)
		case 2:
			body := first(value, 2)
			// The name is field 1 of all four types. Without a version of each, the bytes serve as theirs.
			r.resources = append(r.resources, found{name: first(body, 1), version: body, body: body})
		case 4:
			r.typeURL = string(value)
		case 5:
			r.nonce = string(value)
		}
	})
	return r
}

// prefix is how many bytes gRPC puts before a message: a flag and its length.
const prefix = 5

// request builds a DeltaDiscoveryRequest or a DiscoveryRequest, behind room for its prefix.
type request struct {
	bytes []byte
}

// newRequest makes room for a text of a size, or for more.
func newRequest(size int) *request {
	return &request{bytes: make([]byte, prefix, prefix+small+size)}
}

// small is what is in a request besides names and versions.
const small = 1 << 10

func (r *request) text(number protowire.Number, value string) {
	if value != "" {
		r.bytes = protowire.AppendTag(r.bytes, number, protowire.BytesType)
		r.bytes = protowire.AppendString(r.bytes, value)
	}
}

func (r *request) names(number protowire.Number, names []string) {
	for _, name := range names {
		r.text(number, name)
	}
}

// framed completes the request.
func (r *request) framed() []byte {
	binary.BigEndian.PutUint32(r.bytes[1:prefix], uint32(len(r.bytes)-prefix))
	return r.bytes
}

// pair encodes an entry of a map of strings.
func pair(number protowire.Number, key, value string) []byte {
	var entry, field request
	entry.text(1, key)
	entry.text(2, value)
	field.text(number, string(entry.bytes))
	return field.bytes
}

// sizeOf returns how much room names take at most.
func sizeOf(names []string) (size int) {
	for _, name := range names {
		size += len(name) + 6
	}
	return size
}
