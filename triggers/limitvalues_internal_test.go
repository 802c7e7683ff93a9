package triggers

import (
	"testing"
	"time"
)

// TestLimitsAreTheStatedOnes: each of them bounds the memory or the time that a sender, or a service that is polled, can use. A change
// needs new measurements.
func TestLimitsAreTheStatedOnes(t *testing.T) {
	const ki, mi = 1 << 10, 1 << 20
	for name, c := range map[string][2]int64{
		"smallBody": {smallBody, 64 * ki}, "smallPool": {smallPool, 8 * mi}, "largePool": {largePool, 64 * mi}, "smallPart": {smallPart,
			2 * mi},
		"largePart": {largePart, 16 * mi}, "proofHolds": {int64(proofHolds), int64(24 * time.Hour)}, "maxCallers": {maxCallers, 20000},
		"failuresPerSecond": {failuresPerSecond, 50}, "failuresBurst": {failuresBurst, 200}, "maxArriving": {maxArriving, 20000},
		"manyArriving": {manyArriving, 250}, "stallsAfter": {int64(stallsAfter), 250e6}, "slowPace": {slowPace, 64 * ki},
		"lateCheck": {int64(lateCheck), 250e6}, "firstPiece": {firstPiece, 2 * ki}, "arrivalGrace": {int64(arrivalGrace), 5e9},
		"unhurried": {unhurried, 8 * ki}, "arrivalFloor": {arrivalFloor, 8 * ki}, "discardBytes": {discardBytes, 8 * mi},
		"discardTime": {int64(discardTime), 5e9}, "maxDiscards": {maxDiscards, 64}, "maxDigits": {maxDigits, 100}, "maxSplit": {maxSplit,
			10000},
		"longestChallenge": {longestChallenge, 4 * ki}, "maxContentSum": {maxContentSum, mi}, "decodedWhole": {decodedWhole, 4 * ki},
		"maxNames": {maxNames, 20}, "firstPages": {firstPages, 1000}, "maxDecoding": {maxDecoding, 20 * mi}, "smallDecoding": {smallDecoding,
			64 * ki},
		"maxSame": {maxSame, 8}, "maxEmpty": {maxEmpty, 100}, "maxPause": {int64(maxPause), int64(time.Hour)}, "alertAfter": {alertAfter, 3},
		"maxFirstPause": {int64(maxFirstPause), 10e9}, "onItsWay": {int64(onItsWay), 60e9}, "leadAgain": {int64(leadAgain), 2e9},
		"maxPolled": {maxPolled, 50000}, "maxMissed": {maxMissed, 1000}, "onTime": {int64(onTime), 90e9}, "askTime": {int64(askTime), 10e9},
		"jitterOfClocks": {int64(jitterOfClocks), 2e9}, "fixedWait": {int64(fixedWait), int64(3 * time.Hour)}, "certainFalls": {certainFalls,
			8},
		"maxReadAgain": {maxReadAgain, 9}, "maxTries": {maxTries, 3}, "quarantineBody": {quarantineBody, 64 * ki},
		"longestTurn": {int64(longestTurn), 1e9}, "secretWindow": {int64(SecretWindow), int64(15 * time.Minute)},
		"keptPerSecond": {keptPerSecond, 5}, "keptBurst": {keptBurst, 500}, "firstSecond": {firstSecond, 1e9}, "lastSecond": {lastSecond, 1e10},
		"firstMilli": {firstMilli, 1e12}, "lastMilli": {lastMilli, 1e13}, "maxRefusals": {maxRefusals, 256},
		"maxRefusalBytes": {maxRefusalBytes, 16 * mi}, "triggerRefusals": {triggerRefusals, 64},
		"triggerRefusalBytes": {triggerRefusalBytes, 4 * mi}, "diagnosisPerSecond": {int64(diagnosisPerSecond), 100e6},
		"diagnosisMost": {int64(diagnosisMost), 1e9}, "largestDiagnosed": {largestDiagnosed, 2 * mi}, "shortestToken": {shortestToken, 16},
	} {
		if c[0] != c[1] {
			t.Errorf("%s is %d, want %d", name, c[0], c[1])
		}
	}
}

// TestArrivingBodiesAreListedByAge, whichever of them ends first.
func TestArrivingBodiesAreListedByAge(t *testing.T) {
	now := time.Now()
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}} {
		a := newAdmission()
		a.checking = true // no timer
		var list []*arriving
		for range 3 {
			list = append(list, &arriving{began: now, due: now.Add(time.Hour)})
			a.begin(list[len(list)-1])
		}
		left := map[int]bool{0: true, 1: true, 2: true}
		for _, i := range order {
			if ended, late := a.arrived(list[i]); ended || late {
				t.Error("ended or late")
			}
			a.arrived(list[i]) // a second time changes nothing
			delete(left, i)
			var forwards, backwards []*arriving
			for x := a.oldest; x != nil && len(forwards) < 9; x = x.newer {
				forwards = append(forwards, x)
			}
			for x := a.newest; x != nil && len(backwards) < 9; x = x.older {
				backwards = append(backwards, x)
			}
			if a.count != len(left) || len(forwards) != len(left) || len(backwards) != len(left) {
				t.Errorf("%v, after %d: %d are counted, %d and %d listed", order, i, a.count, len(forwards), len(backwards))
			}
			for j, x := range forwards {
				if x != backwards[len(backwards)-1-j] {
					t.Errorf("%v, after %d: the lists differ", order, i)
				}
			}
		}
	}
}
