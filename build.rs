//! Makes the folder that the playground is embedded from, so that the crate also compiles before `make playground` has built the page.

fn main() {
    if let Err(error) = std::fs::create_dir_all("playground/dist") {
        println!("cargo::error=cannot make the folder playground/dist: {error}");
    }
    // Files that appear or go are seen only this way; `rust-embed` itself watches those it has embedded.
    println!("cargo::rerun-if-changed=playground/dist");
    println!("cargo::rerun-if-changed=playground/examples");
    println!("cargo::rerun-if-changed=build.rs");
}
