// A part of Android's API, by its signatures alone.
@file:Suppress("UNUSED_PARAMETER", "unused")

package android

object Manifest {
    object permission {
        const val ACCESS_COARSE_LOCATION = "android.permission.ACCESS_COARSE_LOCATION"
        const val ACCESS_FINE_LOCATION = "android.permission.ACCESS_FINE_LOCATION"
        const val RECORD_AUDIO = "android.permission.RECORD_AUDIO"
    }
}

object R {
    object drawable {
        const val stat_sys_phone_call = 17301643
    }
}
