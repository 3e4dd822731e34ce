// A stock gRPC client: for each line `NUMBER TARGET` on stdin it makes so many calls, one after the other, and prints who
// answered, in JSON.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	_ "google.golang.org/grpc/xds" // registers the xds scheme and the policies that resources name
)

// Longer than a client waits for a resource, so that what ends a call is never its deadline.
const deadline = 20 * time.Second

func main() {
	channels := map[string]*grpc.ClientConn{}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var number int
		var target string
		if _, err := fmt.Sscan(lines.Text(), &number, &target); err != nil {
			panic(err)
		}
		if channels[target] == nil {
			channels[target] = dial(target)
		}
		places := map[string]int{}
		for range number {
			places[ask(channels[target])]++
		}
		if err := json.NewEncoder(os.Stdout).Encode(places); err != nil {
			panic(err)
		}
	}
}

func dial(target string) *grpc.ClientConn {
	channel, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	if err != nil {
		panic(err)
	}
	return channel
}

func ask(channel *grpc.ClientConn) string {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	var answer []byte
	if err := channel.Invoke(ctx, "/demo.Where/Ask", []byte{}, &answer); err != nil {
		failure := status.Convert(err)
		return strings.ToUpper(failure.Code().String()) + ": " + failure.Message()
	}
	return string(answer)
}

// raw passes bytes through.
type raw struct{}

func (raw) Marshal(message any) ([]byte, error) { return message.([]byte), nil }

func (raw) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = data
	return nil
}

func (raw) Name() string { return "raw" }
