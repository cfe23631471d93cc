// Honey of a hive.
function honeyKg(frames) {
	// A full frame holds about 2.5 kg.
	return 2.5 * frames;
}
