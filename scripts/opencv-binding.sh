# Read by scripts/setup and scripts/arm64/root.sh: OpenCV's binding with the modules that are used here and no others. A third of the
# compiling is left, and the file links to five libraries instead of forty.

OPENCV_MODULES=(core imgproc imgcodecs videoio objdetect)
# Folders of the binding's sources that belong to none of them.
OPENCV_EXCLUDED='cc/(calib3d|dnn|face|features2d|highgui|img_hash|machinelearning|photo|text|tracking|video|xfeatures2d|ximgproc)/'

# A view of OpenCV's headers and libraries in which only these modules exist, and what tells gyp so. Prints nothing.
opencv_view() { # HEADERS LIBRARIES VIEW
  local headers="$1" libraries="$2" view="$3" module
  rm -rf "$view"
  mkdir -p "$view/include/opencv2" "$view/lib"
  ln -s "$headers"/opencv2/* "$view/include/opencv2/"
  rm "$view/include/opencv2/opencv_modules.hpp"
  for module in "${OPENCV_MODULES[@]}"; do
    printf '#define HAVE_OPENCV_%s\n' "${module^^}" >>"$view/include/opencv2/opencv_modules.hpp"
    ln -s "$libraries/libopencv_$module.so" "$view/lib/"
  done
  # Pictures and videos; the binding would want windows as well before it has them.
  printf '#define HAVE_IO\n' >>"$view/include/opencv2/opencv_modules.hpp"
  printf '{"target_defaults": {"sources/": [["exclude", "%s"]]}}\n' "$OPENCV_EXCLUDED" >"$view/modules.gypi"
}

opencv_sources() { # BINDING-FOLDER: how many files are compiled
  grep -E '"cc/.*\.cc"' "$1/binding.gyp" | grep -c -v -E "$OPENCV_EXCLUDED" || true
}
