//! The rules as a whole, on chains of derived blocks: what each block must keep, whatever is in it.

mod actions;
mod blocks;
mod rewards;
mod stateless;
mod undo;
