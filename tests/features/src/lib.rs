//! No code: one choice of features for the libraries that the product and the tests share.
//!
//! Cargo compiles a library once for each set of features that it is asked for with. The tests' libraries (kube above all) ask a few
//! of the product's libraries for more than the product does, and most of the tree stands on those: the product and the
//! tests would each compile nearly everything. The binary depends on this crate, which asks for the union. It costs the binary
//! next to nothing, for the linker drops what nobody calls; tests/tidy checks that the two choices are equal.
