// Package memory limits the memory for decoded bodies, outputs of runs, and responses being read.
// Budget is an amount that can be borrowed, Share the part of one event, Room the part of one
// attempt. It must not know what the memory is for: events, runs and the store are the callers'
// business.
package memory
