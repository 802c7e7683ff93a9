// Command proof tries to break each promise of the README at full size: the tests
// that CI runs small, with their sizes turned up, one after another on a machine
// that does nothing else. It takes about an hour: go run ./.ci/proof
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// experiment is one test at its full size.
type experiment struct {
	promise string
	dir     string
	env     []string
	args    []string
}

var experiments = []experiment{
	{"kill -9, 200 times: nothing acknowledged is lost, no finished step is repeated", ".", []string{"HOOKLOOM_KILLS=200"}, []string{"go", "test", "./cmd", "-count=1", "-v", "-timeout", "30m", "-run", "TestKillMinusNine"}},
	{"a power cut, 500 times, with controls that must lose", ".ci/powercut", nil, []string{"go", "run", ".", "-cuts", "500", "-load", "2s"}},
	{"a failing write at each point of a scenario, and in random workflows", ".", []string{"GOFLAGS=-count=1"}, []string{"go", "test", "./engine", "-v", "-timeout", "30m", "-run", "TestACrashAtAnyWrite|TestACallOutlives|TestAnyWorkflowOutlives", "-rapid.checks=2000"}},
	{"random plans, crashes and answers", ".", nil, []string{"go", "test", "./engine/plan", "-count=1", "-v", "-timeout", "30m", "-run", "TestAnyRunEnds", "-rapid.checks=20000"}},
	{"a failed sync ends the process", ".", nil, []string{"go", "test", "./cmd", "-count=1", "-v", "-run", "TestAFailedSync"}},
	{"a full disk: 503, and no restart", ".", nil, []string{"go", "test", "./cmd", "-count=1", "-v", "-run", "TestDiskFull"}},
	{"SIGTERM, 100 times: what is open ends", ".", []string{"HOOKLOOM_STOPS=100"}, []string{"go", "test", "./cmd", "-count=1", "-v", "-timeout", "30m", "-run", "TestSIGTERM"}},
	{"100,000 events wait: below 256 MiB", ".", []string{"HOOKLOOM_BACKLOG=100000"}, []string{"go", "test", "./cmd", "-count=1", "-v", "-timeout", "30m", "-run", "TestABacklogTakes"}},
	{"a flood of 5,000 connections, 1 MB each, on a slow disk: below 300 MiB", ".", []string{"HOOKLOOM_FLOOD=5000"}, []string{"go", "test", "./cmd", "-count=1", "-v", "-timeout", "30m", "-run", "TestAFloodOfLargeBodies"}},
	{"crowds of 5,000 silent, slow, chunked and forging strangers: every genuine delivery is accepted, below 300 MiB; its p99 for each", ".", []string{"HOOKLOOM_CROWD=5000"}, []string{"go", "test", "./cmd", "-count=1", "-v", "-timeout", "30m", "-run", "TestCrowdsDelayNobody"}},
	{"every path of values at, below and above every limit, with restarts; 200 runs of 4 MiB at once: below 400 MiB of heap", ".", nil, []string{"go", "test", "./engine", "-count=1", "-v", "-timeout", "30m", "-run", "TestWhatMayBeWritten|TestManyLarge|TestARowThatCannot|TestALoopThatFinds"}},
	{"a sender tries the limits of a real server that is killed between", ".", nil, []string{"go", "test", "./cmd", "-count=1", "-v", "-timeout", "30m", "-run", "TestNoSenderEnds"}},
	{"1,000 damaged copies: no wrong row is read", ".", []string{"HOOKLOOM_DAMAGE=1000"}, []string{"go", "test", "./engine/store", "-count=1", "-v", "-timeout", "30m", "-run", "TestDamageIsSeen"}},
	{"1,000 poisons among 100,000 events", ".", []string{"HOOKLOOM_POISON=100000"}, []string{"go", "test", "./engine", "-count=1", "-v", "-timeout", "30m", "-run", "TestPoisonIsContained"}},
	{"one of twenty targets is bad in five ways, half a minute each", ".", []string{"HOOKLOOM_BADTARGETS=30"}, []string{"go", "test", "./cmd", "-count=1", "-v", "-timeout", "30m", "-run", "TestBadTargets"}},
	{"10,000 runs wait for a target that is down for ten minutes; pauses spread", ".", nil, []string{"go", "test", "./engine/destination", "./engine/plan", "-count=1", "-v", "-run", "TestAnOutage|TestNobodyAsks|TestPausesSpread"}},
	{"the console over a million runs, under load", ".", []string{"HOOKLOOM_HISTORY=1000000"}, []string{"go", "test", "./cmd", "-count=1", "-v", "-timeout", "30m", "-run", "TestPagesOverALongHistory"}},
	{"a million runs of history", ".", []string{"HOOKLOOM_HISTORY=1000000"}, []string{"go", "test", "./engine/store", "-count=1", "-v", "-timeout", "30m", "-run", "TestALongHistory"}},
	{"SIGSTOP, kill -9 and SIGTERM, half a minute each: no window has more starts than its rate", ".", []string{"HOOKLOOM_PAUSE=30"}, []string{"go", "test", "./cmd", "-count=1", "-v", "-timeout", "30m", "-run", "TestARateHoldsOverStops"}},
	{"kill -9 as it starts and as it ends, 100 times: nothing is lost or repeated", ".", []string{"HOOKLOOM_KILLS=100"}, []string{"go", "test", "./cmd", "-count=1", "-v", "-timeout", "30m", "-run", "TestKilledAsItStartsOrEnds"}},
	{"the database, its log or its lock is removed, moved, replaced: status 74 within a second, nothing more is acknowledged", ".", nil, []string{"go", "test", "./cmd", "-count=1", "-v", "-run", "TestAServerWhoseFilesAreMoved"}},
	{"34 file descriptors, thirty senders for a minute, 400 idle connections", ".", []string{"HOOKLOOM_SENDERS=60"}, []string{"go", "test", "./cmd", "-count=1", "-v", "-timeout", "30m", "-run", "TestFewDescriptors"}},
	{"the clock is set two hours forward and an hour back", ".", nil, []string{"go", "test", "./cmd", "-count=1", "-v", "-timeout", "30m", "-run", "TestAClockThatIsSet"}},
	{"each page of a database overwritten: what recover reads is sound", ".", []string{"HOOKLOOM_PAGES=all"}, []string{"go", "test", "./engine/store", "-count=1", "-v", "-timeout", "30m", "-run", "TestRecoverReads"}},
	{"order, limits, destinations, clocks, under the race detector", ".", nil, []string{"go", "test", "-race", "./engine", "-count=3", "-timeout", "30m", "-run", "Group|Order|Rate|Replace|Older|Place|Host|Endpoint|Clock|Prun|Backup"}},
}

// figure is a line of a test that prints a number.
var figure = regexp.MustCompile(`(?m)^(?:\s+\w+_test\.go:\d+: (.*)|(synchronous=.*|.*SKIPPED.*))$`)

func main() {
	only := flag.String("only", "", "only experiments whose promise has this text")
	flag.Parse()
	failed := 0
	for _, e := range experiments {
		if !strings.Contains(e.promise, *only) {
			continue
		}
		began := time.Now()
		cmd := exec.Command(e.args[0], e.args[1:]...)
		cmd.Dir, cmd.Env = e.dir, append(os.Environ(), e.env...)
		out, err := cmd.CombinedOutput()
		verdict := "holds"
		if err != nil {
			verdict = "BROKEN"
			failed++
		}
		fmt.Printf("%-6s  %s (%v)\n", verdict, e.promise, time.Since(began).Round(time.Second))
		for _, m := range figure.FindAllStringSubmatch(string(out), -1) {
			fmt.Printf("        %s\n", m[1]+m[2])
		}
		if err != nil {
			fmt.Printf("%s\n%v\n", out, err)
		}
	}
	if failed > 0 {
		os.Exit(1)
	}
}
