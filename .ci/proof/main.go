// Command proof tests each promise of the README at full size: it runs the tests that CI
// runs at a small size, one after another, on a machine that runs nothing else. It takes
// about two hours on two cores: go run ./.ci/proof
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

// experiment is one test at its full size, or another command.
type experiment struct {
	promise string
	// packages are those whose tests run; run selects them, and flags come after them.
	packages []string
	run      string
	flags    []string
	// env are the sizes.
	env []string
	// command runs in dir instead of tests.
	command []string
	dir     string
}

// args is the command line of an experiment.
func (e *experiment) args() []string {
	if e.command != nil {
		return e.command
	}
	args := append([]string{"go", "test", "-count=1", "-v", "-timeout", "30m", "-run", e.run}, e.packages...)
	return append(args, e.flags...)
}

// mutated are the packages whose tests are checked by mutation: the engine with all its packages,
// triggers and workflows.
var mutated = []string{"engine", "engine/alert", "engine/backtest", "engine/console", "engine/content", "engine/control",
	"engine/destination", "engine/dryrun", "engine/egress", "engine/files", "engine/intake", "engine/memory", "engine/persist",
	"engine/plan", "engine/redact", "engine/registry", "engine/runner", "engine/seal", "engine/secrets", "engine/shape",
	"engine/signature", "engine/store", "engine/telemetry", "triggers", "workflows", "workflows/expr", "workflows/spelling",
	"workflows/value"}

var experiments = []experiment{
	{promise: "kill -9, 200 times each: nothing acknowledged is lost, no finished step is repeated; with calls and waits, and with " +
		"debounce, batch, cancel_on and finally",
		env: []string{"HOOKLOOM_KILLS=200"}, packages: []string{"./cmd/e2e"}, run: "TestKillMinusNine"},
	{promise: "three nodes on PostgreSQL: kill -9 of nodes 200 times, all at once, cut off from the database for 30 seconds",
		env: []string{"HOOKLOOM_NODES=3", "HOOKLOOM_KILLS=200", "HOOKLOOM_STOPS=0", "HOOKLOOM_OUTAGES=0", "HOOKLOOM_PROMOTIONS=0",
			"HOOKLOOM_CUTS=5", "HOOKLOOM_PAUSE=30"}, packages: []string{"./cmd/e2e"}, run: "TestNodesLoseNothing"},
	{promise: "two nodes on PostgreSQL: SIGSTOP of nodes for 3 to 20 seconds, 100 times",
		env: []string{"HOOKLOOM_KILLS=0", "HOOKLOOM_STOPS=100", "HOOKLOOM_OUTAGES=0", "HOOKLOOM_PROMOTIONS=0", "HOOKLOOM_CUTS=2",
			"HOOKLOOM_PAUSE=20"}, packages: []string{"./cmd/e2e"}, run: "TestNodesLoseNothing"},
	{promise: "two nodes on PostgreSQL: kill -9 of the database, and promotions of its standby, 50 times each; an asynchronous one loses",
		env:      []string{"HOOKLOOM_KILLS=0", "HOOKLOOM_STOPS=0", "HOOKLOOM_OUTAGES=50", "HOOKLOOM_PROMOTIONS=50", "HOOKLOOM_CUTS=0"},
		packages: []string{"./cmd/e2e"}, run: "TestNodesLoseNothing|TestAnAsynchronousStandby"},
	{promise: "several nodes, with controls that must fail without the lock of the writer: 2,000 waits meet their events, " +
		"4 nodes share one feed, 20,000 keys from 4 nodes, groups and rates of two nodes",
		env:      []string{"HOOKLOOM_MEETINGS=2000", "HOOKLOOM_TAIL=5000", "HOOKLOOM_SAMEKEYS=20000", "HOOKLOOM_GROUP=1000"},
		packages: []string{"./engine/store"},
		run:      "TestWaitsAndEventsOfTwoNodes|TestTheFeedOfFourNodes|TestNodesDoNotDeadlock|TestNodesTogether|TestAGroupKeepsItsOrder"},
	{promise: "nodes of the newest program of the schema before beside those of this one: two nodes are upgraded 5 times under load and " +
		"go back 4 times by kill -9; a program that is too old is refused",
		env: []string{"HOOKLOOM_UPGRADES=5"}, packages: []string{"./cmd/e2e"}, run: "TestTheProgramBefore|TestAProgramThatIsTooOld"},
	{promise: "every test of a real server also on PostgreSQL, except those of files",
		env: []string{"HOOKLOOM_TEST_DATABASE=postgres"}, packages: []string{"./cmd/e2e"}, run: ".",
		flags: []string{"-skip=TestNodes|TestAnAsynchronous|TestOpenRunsGoOn|TestANodeIsDrained|TestTheDemoOf|TestTheLedger|" +
			"TestTheProgram|TestAProgram"}},
	{promise: "runs of a node that has ended continue within 5 seconds",
		packages: []string{"./cmd/e2e"}, run: "TestOpenRunsGoOn"},
	{promise: "a power cut, 500 times, with controls that must lose",
		dir: ".ci/powercut", command: []string{"go", "run", ".", "-cuts", "500", "-load", "2s"}},
	{promise: "a failing write at each point of a scenario, and in random workflows",
		packages: []string{"./engine/machine"}, run: "TestACrashAtAnyWrite|TestCallSurvives|TestAnyWorkflowSurvives",
		flags: []string{"-rapid.checks=2000"}},
	{promise: "random plans, crashes and answers",
		packages: []string{"./engine/plan"}, run: "TestAnyRunEnds", flags: []string{"-rapid.checks=20000"}},
	{promise: "a failed sync ends the process",
		packages: []string{"./cmd/e2e"}, run: "TestAFailedSync"},
	{promise: "a small disk that is full, also at the start: 503, without a restart",
		packages: []string{"./cmd/e2e"}, run: "TestDiskFull|TestAServerOnAFullDisk|TestAStartWithNoRoom"},
	{promise: "SIGTERM, 100 times: open steps end before the process",
		env: []string{"HOOKLOOM_STOPS=100"}, packages: []string{"./cmd/e2e"}, run: "TestSIGTERM"},
	{promise: "a backlog of 100,000 events: below 256 MiB",
		env: []string{"HOOKLOOM_BACKLOG=100000"}, packages: []string{"./cmd/e2e"}, run: "TestABacklogTakes"},
	{promise: "a flood of 5,000 connections, 1 MB each, on a slow disk: below 300 MiB",
		env: []string{"HOOKLOOM_FLOOD=5000"}, packages: []string{"./cmd/e2e"}, run: "TestAFloodOfLargeBodies"},
	{promise: "5,000 clients that are silent, slow, chunked or forge signatures: every genuine delivery is accepted, below 300 MiB",
		env: []string{"HOOKLOOM_CROWD=5000"}, packages: []string{"./cmd/e2e"}, run: "TestCrowdsDelayNobody"},
	{promise: "values at, below and above every limit, by every path, with restarts; 200 runs of 4 MiB at once: below 400 MiB of heap",
		packages: []string{"./engine/machine"}, run: "TestValuesWithin|TestManyLarge|TestARowThatCannot|TestLoopWithoutMemory"},
	{promise: "expressions: each function and operator with large data, and random expressions, end within their limits",
		packages: []string{"./workflows/expr"}, run: "TestALargeUse|TestExpressionsEnd", flags: []string{"-rapid.checks=1000"}},
	{promise: "runs end in order with the runs that they call, waits see earlier events, and waiting runs continue with the version " +
		"that they began with, over crashes, 3 times; open runs of earlier schemas continue",
		packages: []string{"./engine/machine"},
		run: "TestOrderOfEnding|TestACalledRunEnds|TestACallThatTimedOut|TestRunTimeout|TestWaitSees|TestARunUsesAnEvent|" +
			"TestEventCommittedLater|TestTheFirstOfSeveral|TestWaitingRunContinues|TestRemovedDependencyFails|TestEventEndsRunsAcrossACrash|" +
			"TestACrashAtAnyWriteLosesNoGathered|TestGatheringAcrossRandomRestarts|TestDefaultsApply|TestOpen",
		flags: []string{"-count=3"}},
	{promise: "polls of 2,000 random shops, compared with a model: each item is delivered once",
		packages: []string{"./triggers"}, run: "TestEveryItemOfAnyShop", flags: []string{"-rapid.checks=2000"}},
	{promise: "lists of presets with 10,000 items, unusual lists, and a failing write at each point of a poll: each item is delivered once",
		packages: []string{"./triggers"},
		run:      "TestTheListsOfThePresets|TestOddLists|TestAShopWithAnotherClock|TestACrashAtAnyWriteOfAPoll|TestABigList"},
	{promise: "kill -9 between the fetch of a poll and its commit, 45 times: no item is lost, none runs twice",
		env: []string{"HOOKLOOM_KILLS=45"}, packages: []string{"./cmd/e2e"}, run: "TestKillBetweenFetch"},
	{promise: "a sender tests the limits of a real server, which is killed in between",
		packages: []string{"./cmd/e2e"}, run: "TestNoSenderEnds"},
	{promise: "1,000 damaged copies of a database: no wrong row is read",
		env: []string{"HOOKLOOM_DAMAGE=1000"}, packages: []string{"./engine/store"}, run: "TestDamageIsSeen"},
	{promise: "1,000 events that crash the process among 100,000",
		env: []string{"HOOKLOOM_POISON=100000"}, packages: []string{"./engine/machine"}, run: "TestPoisonIsContained"},
	{promise: "one of twenty targets fails in five ways, half a minute each",
		env: []string{"HOOKLOOM_BADTARGETS=30"}, packages: []string{"./cmd/e2e"}, run: "TestBadTargets"},
	{promise: "10,000 runs wait for a target that is down for ten minutes; their retries are spread",
		packages: []string{"./engine/destination", "./engine/plan"}, run: "TestAnOutage|TestNoRequestIsSent|TestPausesSpread"},
	{promise: "the console over a million runs, under load",
		env: []string{"HOOKLOOM_HISTORY=1000000"}, packages: []string{"./cmd/e2e"}, run: "TestPagesOverALongHistory"},
	{promise: "a million runs of history",
		env: []string{"HOOKLOOM_HISTORY=1000000"}, packages: []string{"./engine/store"}, run: "TestALongHistoryIs"},
	{promise: "a million runs of history on PostgreSQL: each list with its total, each detail and chart in at most 50 ms at the median",
		env: []string{"HOOKLOOM_HISTORY=1000000"}, packages: []string{"./engine/store"}, run: "TestALongHistoryOnPostgreSQL"},
	{promise: "SIGSTOP, kill -9 and SIGTERM, half a minute each: no window has more starts than the rate permits",
		env: []string{"HOOKLOOM_PAUSE=30"}, packages: []string{"./cmd/e2e"}, run: "TestARateHoldsAcross"},
	{promise: "kill -9 as it starts and as it ends, 100 times: nothing is lost or repeated",
		env: []string{"HOOKLOOM_KILLS=100"}, packages: []string{"./cmd/e2e"}, run: "TestKilledAsItStartsOrEnds"},
	{promise: "the database, its log or its lock is removed, moved or replaced: status 74 within a second, and nothing more is acknowledged",
		packages: []string{"./cmd/e2e"}, run: "TestAServerWhose"},
	{promise: "34 file descriptors, thirty senders for a minute, 400 idle connections",
		env: []string{"HOOKLOOM_SENDERS=60"}, packages: []string{"./cmd/e2e"}, run: "TestFewDescriptors"},
	{promise: "the clock is set two hours forward and an hour back",
		packages: []string{"./cmd/e2e"}, run: "TestClockChange"},
	{promise: "each page of a database overwritten: what recover reads is correct",
		env: []string{"HOOKLOOM_PAGES=all"}, packages: []string{"./engine/store"}, run: "TestRecoverReads"},
	{promise: "backtests: the same workflow changes nothing, over 40 histories of random workflows; each mutant is found, and nothing else",
		env: []string{"HOOKLOOM_BACKTESTS=40"}, packages: []string{"./engine/backtest"},
		run: "TestTheSameWorkflow|TestRandomWorkflows|TestEachMutant|TestChanged|TestAgainst"},
	{promise: "a backtest of 100,000 events of 1.2 KB through three steps: in less than 60 seconds, below 128 MiB of heap",
		env: []string{"HOOKLOOM_BENCHBACKTEST=100000"}, packages: []string{"./cmd"}, run: "TestABacktestIsFast"},
	{promise: "order, limits, destinations, clocks, under the race detector",
		packages: []string{"./engine/machine"},
		run:      "Group|Order|Rate|Replace|Older|Place|Host|Endpoint|Clock|Prun|Backup", flags: []string{"-race", "-count=3"}},
	{promise: "fuzzers, ten times as long as by default", command: []string{".ci/fuzz", "1000"}},
	{promise: "mutation: short tests kill nine of ten mutants of a sample",
		command: append([]string{"go", "run", "./.ci/mutate", "-n", "200", "-seed", "1", "-at-least", "0.9"}, mutated...)},
}

// figure is a line of a test that prints a number.
var figure = regexp.MustCompile(`(?m)^(?:\s+\w+_test\.go:\d+: (.*)|(synchronous=.*|mutants of .*|.*SKIPPED.*))$`)

func main() {
	only := flag.String("only", "", "only experiments whose promise has this text")
	flag.Parse()
	failed := 0
	for _, e := range experiments {
		if !strings.Contains(e.promise, *only) {
			continue
		}
		began := time.Now()
		args := e.args()
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir, cmd.Env = e.dir, append(os.Environ(), e.env...)
		out, err := cmd.CombinedOutput()
		verdict := "holds"
		if err != nil {
			verdict = "BROKEN"
			failed++
		}
		took, cpu := time.Since(began).Round(time.Second), time.Duration(0)
		if s := cmd.ProcessState; s != nil {
			cpu = (s.UserTime() + s.SystemTime()).Round(time.Second)
		}
		fmt.Printf("%-6s  %s (%v, %v of CPU)\n", verdict, e.promise, took, cpu)
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
