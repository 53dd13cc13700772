//! The process, as Linux reports it under `/proc`; nothing elsewhere.

use std::fs;

use super::Page;

/// `/proc` counts processor time in hundredths of a second on every Linux.
const TICKS_PER_SECOND: u64 = 100;
/// And memory in pages; 4 KiB on the machines we build for, and stated as such where it is read.
const PAGE_BYTES: u64 = 4096;

pub(super) fn figures(page: &mut Page) {
    if let Some(pages) = fs::read_to_string("/proc/self/statm").ok().and_then(|text| resident_pages(&text)) {
        page.gauge("process_resident_memory_bytes", "Memory in use.", pages.saturating_mul(PAGE_BYTES));
    }
    if let Some(ticks) = fs::read_to_string("/proc/self/stat").ok().and_then(|text| cpu_ticks(&text)) {
        let name = "process_cpu_seconds_total";
        page.head(name, "Processor time used.", "counter");
        page.line(name, super::seconds(ticks.saturating_mul(1000 / TICKS_PER_SECOND)));
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        page.gauge("process_open_fds", "Open files and sockets.", files.count() as u64);
    }
}

/// The second figure: resident pages.
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Time in user and system mode: the 14th and 15th figure, counted from after the name in parentheses.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut figures = rest.split_ascii_whitespace().skip(11);
    let (user, system) = (figures.next()?.parse::<u64>().ok()?, figures.next()?.parse::<u64>().ok()?);
    user.checked_add(system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_read() {
        assert_eq!(resident_pages("100 42 7 1 0 9 0\n"), Some(42));
        assert_eq!(resident_pages(""), None);
        let stat = "7 (a name) (x) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20 0 1 0 99";
        assert_eq!(cpu_ticks(stat), Some(42));
        assert_eq!(cpu_ticks("7 (x) S"), None);
    }
}
