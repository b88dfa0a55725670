// Under qemu-user, the child of a fork whose exec fails can wait for ever in its exit.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"
)

func main() {
	// Threads come and go: a goroutine that ends while it is locked to its thread ends the thread.
	churn := func() {
		for os.Getenv("NO_CHURN") == "" {
			ended := make(chan bool)
			go func() { defer close(ended); runtime.LockOSThread() }()
			<-ended
		}
	}
	for range 4 {
		go churn()
	}
	forks, end := 0, time.Now().Add(30*time.Second)
	for time.Now().Before(end) && forks < 300 {
		returned := make(chan error)
		// The file is there and cannot be executed: the child exits after its exec fails.
		go func() { returned <- exec.Command("/dev/null").Run() }()
		forks++
		select {
		case <-returned:
		case <-time.After(20 * time.Second):
			fmt.Printf("fork %d did not return within 20 s\n", forks)
			os.Exit(1)
		}
	}
	fmt.Printf("%d forks returned\n", forks)
}
