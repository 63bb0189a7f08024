//! Mutations of valid inputs, the same ones each time: flips, cuts, splices, edited lengths.

/// Longer ones only take longer.
const INPUT_BYTES_MAX: usize = 64 << 10;
/// What a damaged length likes to be.
const NUMBERS: [u64; 8] = [0, 1, 0x7f, 0x80, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];

pub struct Mutations {
    seeds: Vec<Vec<u8>>,
    random: u64,
}

impl Mutations {
    pub fn new(seeds: Vec<Vec<u8>>) -> Self {
        Mutations { seeds, random: 20_261_121 }
    }

    pub fn next(&mut self) -> Vec<u8> {
        let mut input = self.seed();
        for _ in 0..1 + self.below(4) {
            self.edit(&mut input);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }

    fn edit(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len());
        let length = self.below(24).min(input.len() - at);
        match self.below(8) {
            0 if !input.is_empty() => input[at] ^= 1 << self.below(8),
            1 if !input.is_empty() => input[at] = self.below(256) as u8,
            2 => input.truncate(at),
            3 => drop(input.drain(at..at + length)),
            4 => {
                let other = self.seed();
                let (from, length) = (self.below(other.len()), self.below(64));
                let to = (from + length).min(other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
            5 => {
                let piece = input[at..at + length].to_vec();
                let times = 1 + self.below(4);
                input.splice(at..at, piece.repeat(times));
            }
            6 => {
                // As little-endian numbers stand in most forms, and as bincode's long ones do.
                let number = NUMBERS[self.below(NUMBERS.len())].to_le_bytes();
                let bytes = 1 << self.below(4);
                let marked = [&[[251, 252, 253][self.below(3)]], &number[..]].concat();
                let over = if self.below(2) == 0 { &number[..bytes] } else { &marked[..] };
                let end = (at + over.len()).min(input.len());
                input.splice(at..end, over.iter().copied());
            }
            _ => {
                let times = self.below(64);
                let byte = self.below(256) as u8;
                input.splice(at..at, std::iter::repeat_n(byte, times));
            }
        }
    }

    fn seed(&mut self) -> Vec<u8> {
        let place = self.below(self.seeds.len());
        self.seeds[place].clone()
    }

    fn below(&mut self, bound: usize) -> usize {
        let step = self.random.wrapping_mul(6_364_136_223_846_793_005);
        self.random = step.wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % bound.max(1)
    }
}
