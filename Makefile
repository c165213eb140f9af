all:
	meson setup build --reconfigure 2>/dev/null || meson setup build
	ninja -C build
