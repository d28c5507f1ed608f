// The program of furrow_test_headers (tests/CMakeLists.txt), whose precompiled headers are what is wanted of it.
int main() { return 0; }
