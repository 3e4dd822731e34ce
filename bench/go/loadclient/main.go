// Loadclient is a crowd of Envoys: it opens delta or state-of-the-world ADS streams, one connection each, asks for everything in
// Envoy's order, acknowledges everything, and tells when all have it.
//
// It takes commands from stdin and answers on stdout, JSON objects, one a line:
//
//	{"do": "connect"}                         {"event": "synced", ...} once every stream has everything
//	{"do": "expect", "address": "10.0.0.1"}   {"event": "armed"}; {"event": "held", ...} once every stream was sent the address
//	{"do": "follow", "services": [0, ...], "addresses": ["10.0.0.1", ...]}
//	                                          {"event": "following"}; change by change, of which service, and its new address
//	{"do": "staleness", "made_at_s": [1.5, ...], "wait_s": 10}
//	                                          {"event": "staleness", ...} once every stream has had them all, or after the wait
//	{"do": "reconnect"}                       {"event": "reopened", ...} once every stream has said what it held before
//	{"do": "count"}                           {"event": "counted", ...}: what the present connections were sent
//
// Times that end in _at_s are those of CLOCK_MONOTONIC.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

type command struct {
	Do        string
	Address   string
	Services  []int
	Addresses []string
	MadeAtS   []float64 `json:"made_at_s"`
	WaitS     float64   `json:"wait_s"`
}

type fields = map[string]any

var output = struct {
	sync.Mutex
	*json.Encoder
}{Encoder: json.NewEncoder(os.Stdout)}

func tell(event string, what fields) {
	what["event"] = event
	output.Lock()
	defer output.Unlock()
	if err := output.Encode(what); err != nil {
		os.Exit(1)
	}
}

func main() {
	address := flag.String("address", "", "HOST:PORT of the server")
	streams := flag.Int("streams", 1000, "how many")
	delta := flag.Bool("delta", true, "delta, or state of the world")
	clusters := flag.Int("clusters", 0, "EDS clusters that a stream must have before it counts as synced")
	node := flag.String("node", `{"id": "proxy-{number}"}`, "core.v3.Node as JSON; {number} is the stream's")
	flag.Parse()
	all := newCrowd(*address, *delta, *node, *clusters, *streams)
	go func() {
		fmt.Fprintln(os.Stderr, <-all.failed)
		os.Exit(1)
	}()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			panic(err)
		}
		obey(all, c)
	}
}

func obey(all *crowd, c command) {
	switch c.Do {
	case "connect":
		beganS := nowS()
		all.connect()
		<-all.syncs.done
		report("synced", all, beganS, all.syncs.part(1))
	case "reconnect":
		all.disconnect()
		beganS := nowS()
		all.connect()
		<-all.opened.done
		report("reopened", all, beganS, all.opened.part(1))
	case "count":
		report("counted", all, 0, 0)
	case "expect":
		all.expected.add(c.Address, len(all.streams), func(one *expectation) {
			tell("held", fields{
				"address": one.address, "first_at_s": one.part(0), "median_at_s": one.part(0.5), "last_at_s": one.part(1), "cpu_s": cpuS(),
			})
		})
		tell("armed", fields{})
	case "follow":
		all.followed.Store(newFollowing(len(all.streams), c.Services, c.Addresses))
		tell("following", fields{})
	case "staleness":
		tell("staleness", all.followed.Load().staleness(c.MadeAtS, time.Duration(c.WaitS*float64(time.Second))))
	default:
		panic("unknown command " + c.Do)
	}
}

func report(event string, all *crowd, beganS, endedS float64) {
	bytes, resources := all.totals()
	tell(event, fields{
		"began_at_s": beganS, "opened_at_s": all.opened.part(1), "ended_at_s": endedS, "seconds": endedS - beganS,
		"bytes": bytes, "resources": resources, "endpoints": all.fewest(), "lost": all.lost.Load(), "cpu_s": cpuS(),
	})
}

// cpuS returns the processor time that we have taken.
func cpuS() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}
